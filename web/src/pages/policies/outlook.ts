import { type Fate, fate } from "./fate";
import { ask } from "./queries";
import type { UserSession } from "./types";

/** Sessions that are looked at one by one; each is a question to the site. */
export const MOST_LOOKED_AT = 25;

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
