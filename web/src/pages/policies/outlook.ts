import { ask } from "./queries";
import type { RuleAction, UserSession } from "./types";

/** What becomes of a session when another policy is active. */
export type Fate = "same" | "stops" | "notify" | "goes" | "later" | "hand";

/** Sessions that are looked at one by one; each is a question to the site. */
export const MOST_LOOKED_AT = 25;

/** What happens at the next rollover to a session that was begun under one action when the policy says another. */
export function fate(session: UserSession, now: RuleAction): Fate {
  const { action, decided } = session.recording;
  if (decided.by === "request" || decided.by === "settings") return "hand";
  if (action === now) return "same";
  // A recording without its beginning would be taken for a whole one.
  if (action === "disable") return "later";
  if (now === "disable") return "stops";
  return told(now) && !told(action) ? "notify" : "goes";
}

const told = (action: RuleAction) => action.endsWith("-with-notice");

/** What becomes of running sessions when a policy is made the active one. */
export async function outlook(
  site: string,
  policy: string,
  sessions: readonly UserSession[],
  signal?: AbortSignal,
): Promise<Map<Fate, UserSession[]>> {
  const found = await Promise.all(
    sessions.slice(0, MOST_LOOKED_AT).map(async (session) => {
      const answer = await ask(site, { session: session.id, policy }, signal);
      return [fate(session, answer.action), session] as const;
    }),
  );
  const fates = new Map<Fate, UserSession[]>();
  for (const [what, session] of found) fates.set(what, [...(fates.get(what) ?? []), session]);
  return fates;
}
