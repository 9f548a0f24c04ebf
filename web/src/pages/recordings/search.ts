import type { RecordingsQuery } from "../../api/types";

/** What the address bar says of the list. Everything is optional, and nonsense counts as not there. */
export interface ListSearch {
  /** A time range that moves along; without it `from` and `to` hold. */
  range?: Preset;
  /** RFC 3339. */
  from?: string;
  to?: string;
  user?: string;
  host?: string;
  state?: State;
  site?: string;
  sort?: Sort;
  size?: PageSize;
  cursor?: string;
}

export const PRESETS = ["hour", "day", "week", "month"] as const;
export type Preset = (typeof PRESETS)[number];
export const STATES = ["live", "finished", "quarantined"] as const;
export type State = (typeof STATES)[number];
export const SORTABLE = ["started_at", "user", "host", "duration", "bytes"] as const;
export type Sortable = (typeof SORTABLE)[number];
export type Sort = Sortable | `-${Sortable}`;
export const PAGE_SIZES = [25, 50, 100, 200] as const;
export type PageSize = (typeof PAGE_SIZES)[number];
export const DEFAULT_SORT: Sort = "-started_at";
export const DEFAULT_SIZE: PageSize = 50;

const HOUR_MS = 3_600_000;
const LENGTHS: Record<Preset, number> = {
  hour: HOUR_MS,
  day: 24 * HOUR_MS,
  week: 7 * 24 * HOUR_MS,
  month: 30 * 24 * HOUR_MS,
};
const LONGEST_TEXT = 200;

export function readListSearch(address: Record<string, unknown>): ListSearch {
  const range = oneOf(PRESETS, address.range);
  // What makes no sense stands here as not there: left out, it would show through from the address itself.
  const read = {
    range,
    from: range ? undefined : moment(address.from),
    to: range ? undefined : moment(address.to),
    user: text(address.user),
    host: text(address.host),
    state: oneOf(STATES, address.state),
    site: text(address.site),
    sort: sort(address.sort),
    size: size(address.size),
    cursor: text(address.cursor, 2000),
  };
  return read as ListSearch;
}

/** The request that the address stands for. Moving ranges begin at a whole minute, so that the request stays the same for a while. */
export function listQuery(search: ListSearch, now: number): RecordingsQuery {
  const minute = Math.floor(now / 60_000) * 60_000;
  return drop({
    from: search.range ? new Date(minute - LENGTHS[search.range]).toISOString() : search.from,
    to: search.range ? undefined : search.to,
    user: search.user,
    host: search.host,
    state: search.state,
    site: search.site,
    sort: search.sort ?? DEFAULT_SORT,
    limit: search.size ?? DEFAULT_SIZE,
    cursor: search.cursor,
  });
}

/** The address after a change of filters, sorting or page size: the first page of the new list. */
export function changed(search: ListSearch, change: Partial<ListSearch>): ListSearch {
  const next = { ...search, ...change, cursor: undefined };
  if (change.range) {
    next.from = undefined;
    next.to = undefined;
  } else if (change.from || change.to) {
    next.range = undefined;
  }
  if (next.sort === DEFAULT_SORT) next.sort = undefined;
  if (next.size === DEFAULT_SIZE) next.size = undefined;
  return drop(next);
}

export function filtered(search: ListSearch): boolean {
  return [search.range, search.from, search.to, search.user, search.host, search.state, search.site].some(
    Boolean,
  );
}

/** A click on a column: first the way that is more often wanted, then the other. */
export function nextSort(current: Sort | undefined, column: Sortable): Sort {
  const now = current ?? DEFAULT_SORT;
  const namesFirst = column === "user" || column === "host";
  if (now === column) return `-${column}`;
  if (now === `-${column}`) return column;
  return namesFirst ? column : `-${column}`;
}

function oneOf<T extends string>(known: readonly T[], value: unknown): T | undefined {
  return known.find((item) => item === value);
}

function text(value: unknown, longest = LONGEST_TEXT): string | undefined {
  if (typeof value !== "string") return undefined;
  return value.slice(0, longest) || undefined;
}

function moment(value: unknown): string | undefined {
  const at = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? undefined : new Date(at).toISOString();
}

function sort(value: unknown): Sort | undefined {
  if (typeof value !== "string") return undefined;
  const column = oneOf(SORTABLE, value.replace(/^-/, ""));
  if (!column || value === DEFAULT_SORT) return undefined;
  return value.startsWith("-") ? `-${column}` : column;
}

function size(value: unknown): PageSize | undefined {
  const found = PAGE_SIZES.find((item) => item === Number(value));
  return found === DEFAULT_SIZE ? undefined : found;
}

function drop<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as T;
}
