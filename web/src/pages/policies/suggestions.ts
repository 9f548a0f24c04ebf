import { keepPreviousData, useQueries, useQuery } from "@tanstack/react-query";
import { useRouteContext } from "@tanstack/react-router";
import { useDeferredValue } from "react";
import { answer, api } from "../../api/client";
import { sessionHostsQuery } from "../../api/queries";
import type { ListName } from "./draft";
import { MOST_SESSIONS } from "./queries";

/** Something to choose in a picker. */
export interface Suggestion {
  /** What goes into the rule. */
  value: string;
  /** What else is known of it. */
  note?: string;
  /** RFC 3339, where it is a remembered answer of a directory that is away. */
  seen?: string;
}

const FRESH_MS = 30_000;

/** What the site's sessions and hosts have already shown of each kind. */
export function useKnown(site: string): Record<ListName, Suggestion[]> {
  const { me } = useRouteContext({ from: "/app" });
  const sessions = useQuery({
    queryKey: ["known-sessions", site],
    enabled: me.permissions.includes("view-sessions"),
    staleTime: FRESH_MS,
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/sessions", { params: { query: { site, limit: MOST_SESSIONS } }, signal })),
  });
  const hosts = useQuery({ ...sessionHostsQuery(site), enabled: me.permissions.includes("view-sites") });
  const seen = sessions.data?.items ?? [];
  const all = (pick: (session: (typeof seen)[number]) => readonly (string | null)[]) =>
    distinct(seen.flatMap(pick));
  return {
    users: all((session) => session.users),
    groups: all((session) => session.groups),
    applications: distinct(["desktop", ...seen.map((session) => session.application)]),
    hosts: distinct([
      ...(hosts.data?.items ?? []).map((host) => host.host),
      ...seen.map((session) => session.host),
    ]),
    delivery_groups: all((session) => session.delivery_groups),
    addresses: all((session) => [session.address]),
    tags: all((session) => session.tags),
  };
}

function distinct(names: readonly (string | null)[]): Suggestion[] {
  const byName = new Map(names.flatMap((name) => (name ? [[name.toLowerCase(), name] as const] : [])));
  return [...byName.values()].sort((a, b) => a.localeCompare(b)).map((value) => ({ value }));
}

interface Found {
  items: Suggestion[];
  more: boolean;
  /** Directories that do not answer. */
  away: string[];
  /** Whether what is shown of them is what was seen before; otherwise there is nothing of them. */
  remembered: boolean;
}

const MOST_FOUND = 20;
/** Entries of a rule that are looked for by themselves; more would be a burden for the directories. */
const MOST_LOOKED_UP = 20;
const LOOKED_UP_MS = 300_000;

const directorySearch = (kind: "user" | "group" | undefined, q: string) => ({
  queryKey: ["directory-search", kind, q],
  retry: false,
  queryFn: ({ signal }: { signal: AbortSignal }) =>
    answer(
      api.GET("/api/v1/directories/search", { params: { query: { q, kind, limit: MOST_FOUND } }, signal }),
    ),
});

/** Entries that neither a directory nor a session knows: slips, and users and groups that are gone. */
export function useStrangers(
  kind: "user" | "group" | undefined,
  entries: readonly string[],
  known: readonly Suggestion[],
): string[] {
  const { me } = useRouteContext({ from: "/app" });
  const may = kind !== undefined && me.permissions.includes("search-directories");
  const names = new Set(known.map((one) => one.value.toLowerCase()));
  const asked = may
    ? entries
        .filter((entry) => !names.has(entry.toLowerCase()) && bare(entry) !== "")
        .slice(0, MOST_LOOKED_UP)
    : [];
  const found = useQueries({
    queries: asked.map((entry) => ({ ...directorySearch(kind, bare(entry)), staleTime: LOOKED_UP_MS })),
  });
  return asked.filter((entry, at) => {
    const { items, directories, problems, more } = found[at]?.data ?? {};
    // Without any directory, or with one that is away, nothing can be said.
    if (!items || !directories || problems?.length || more) return false;
    return !items.some((item) => item.name.toLowerCase() === bare(entry).toLowerCase());
  });
}

/** A name without its domain, as directories have it, as far as they can be asked for it. */
function bare(entry: string): string {
  return (entry.split("\\").at(-1) ?? "").replace(/@.*$/, "").trim().slice(0, 100);
}

/** Users or groups of directories whose name holds a text. */
export function useDirectory(kind: "user" | "group" | undefined, text: string): Found {
  const { me } = useRouteContext({ from: "/app" });
  const q = useDeferredValue(text.trim());
  const found = useQuery({
    ...directorySearch(kind, q),
    enabled:
      kind !== undefined && q.length > 0 && q.length <= 100 && me.permissions.includes("search-directories"),
    staleTime: FRESH_MS,
    placeholderData: keepPreviousData,
  });
  const wanted = q === "" ? undefined : found.data;
  return {
    items: (wanted?.items ?? []).map((item) => ({
      value: item.name,
      note: [item.label === item.name ? null : item.label, item.detail, item.directory.name]
        .filter(Boolean)
        .join(" · "),
      ...(item.seen_at ? { seen: item.seen_at } : {}),
    })),
    more: wanted?.more ?? false,
    away: (wanted?.problems ?? []).map((problem) => problem.directory.name),
    remembered: wanted?.problems.some((problem) => problem.stale) ?? false,
  };
}
