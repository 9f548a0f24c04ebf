/** What the address bar says of the list of sessions. Everything is optional, and nonsense counts as not there. */
export interface SessionSearch {
  user?: string;
  host?: string;
  /** Running ones without it. */
  state?: State;
  recorded?: "true" | "false";
  site?: string;
  cursor?: string;
  /** The session whose details are open. */
  session?: string;
}

export const STATES = ["running", "connected", "disconnected", "ended", "all"] as const;
export type State = (typeof STATES)[number];
const LONGEST_TEXT = 200;
const PAGE_SIZE = 100;

export function readSessionSearch(address: Record<string, unknown>): SessionSearch {
  const state = STATES.find((name) => name === address.state);
  return {
    user: text(address.user),
    host: text(address.host),
    state: state === "running" ? undefined : state,
    recorded: address.recorded === "true" || address.recorded === "false" ? address.recorded : undefined,
    site: text(address.site),
    cursor: text(address.cursor, 500),
    session: text(address.session),
  };
}

/** The request that the address stands for. */
export function sessionQuery(search: SessionSearch) {
  const state = search.state ?? "running";
  return {
    ...(search.user ? { user: search.user } : {}),
    ...(search.host ? { host: search.host } : {}),
    ...(state === "all" ? {} : { state }),
    ...(search.recorded ? { recorded: search.recorded === "true" } : {}),
    ...(search.site ? { site: search.site } : {}),
    ...(search.cursor ? { cursor: search.cursor } : {}),
    limit: PAGE_SIZE,
  };
}

export function filtered({ user, host, state, recorded, site }: SessionSearch): boolean {
  return [user, host, state, recorded, site].some((value) => value !== undefined);
}

function text(value: unknown, longest = LONGEST_TEXT): string | undefined {
  return typeof value === "string" && value !== "" && value.length <= longest ? value : undefined;
}
