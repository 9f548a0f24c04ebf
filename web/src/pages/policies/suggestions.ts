import { keepPreviousData, useQuery } from "@tanstack/react-query";
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

/** Users or groups of directories whose name holds a text. */
export function useDirectory(kind: "user" | "group" | undefined, text: string): Found {
  const { me } = useRouteContext({ from: "/app" });
  const q = useDeferredValue(text.trim());
  const found = useQuery({
    queryKey: ["directory-search", kind, q],
    enabled:
      kind !== undefined && q.length > 0 && q.length <= 100 && me.permissions.includes("search-directories"),
    staleTime: FRESH_MS,
    placeholderData: keepPreviousData,
    retry: false,
    queryFn: ({ signal }) =>
      answer(
        api.GET("/api/v1/directories/search", { params: { query: { q, kind, limit: MOST_FOUND } }, signal }),
      ),
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
