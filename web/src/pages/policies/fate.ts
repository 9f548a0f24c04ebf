import type { RuleAction, UserSession } from "./types";

/** What becomes of a session when another policy is active. */
export type Fate = "same" | "stops" | "notify" | "goes" | "later" | "hand";

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
