import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { answer, api } from "./client";
import { ApiError } from "./problem";
import type { DescribedQuery, RecordingsQuery, Timeline } from "./types";

/** A list with something live in it, or one where something new would show up at the top. */
const LIVE_INTERVAL_MS = 2000;
const QUIET_INTERVAL_MS = 10_000;
/** What failed for a reason that passes is asked for again. */
const AWAY_INTERVAL_MS = 3000;

function passing(error: unknown): boolean {
  return error instanceof ApiError && error.passing;
}

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/me", { signal })),
  staleTime: 60_000,
  retry: false,
});

export function recordingsQuery(query: RecordingsQuery) {
  return queryOptions({
    queryKey: ["recordings", query],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/recordings", { params: { query: query as DescribedQuery }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: (state) => {
      const live = state.state.data?.items.some((recording) => recording.state === "live");
      return live || !query.cursor ? LIVE_INTERVAL_MS : QUIET_INTERVAL_MS;
    },
  });
}

export function recordingQuery(id: string) {
  return queryOptions({
    queryKey: ["recording", id],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/recordings/{id}", { params: { path: { id } }, signal })),
    refetchInterval: (state) =>
      passing(state.state.error) ? AWAY_INTERVAL_MS : state.state.data?.state === "live" ? 5000 : false,
  });
}

/** As many as a wide screen has room for when it is zoomed a little. */
const BUCKETS = 2000;
/** Stillness from this length on can be skipped. */
export const IDLE_MS = 5000;

export function timelineQuery(id: string) {
  return queryOptions({
    queryKey: ["timeline", id],
    queryFn: async ({ signal }): Promise<Timeline> => {
      const timeline = await answer(
        api.GET("/api/v1/recordings/{id}/timeline", {
          params: { path: { id }, query: { buckets: BUCKETS, idle_ms: IDLE_MS } },
          signal,
        }),
      );
      return { ...timeline, idle: timeline.idle.map(([from = 0, to = 0]) => [from, to]) };
    },
    refetchInterval: (state) =>
      passing(state.state.error) || state.state.data?.live ? AWAY_INTERVAL_MS : false,
  });
}

export const sitesQuery = queryOptions({
  queryKey: ["sites"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/sites", { signal })),
  refetchInterval: QUIET_INTERVAL_MS,
});

export function sessionHostsQuery(site: string | undefined) {
  return queryOptions({
    queryKey: ["session-hosts", site ?? ""],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/session-hosts", { params: { query: site ? { site } : {} }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: QUIET_INTERVAL_MS,
  });
}

export const joinTokensQuery = queryOptions({
  queryKey: ["join-tokens"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/join-tokens", { signal })),
  refetchInterval: QUIET_INTERVAL_MS,
});

export const directoriesQuery = queryOptions({
  queryKey: ["directories"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/directories", { signal })),
  refetchInterval: QUIET_INTERVAL_MS,
});

export function directoryRolesQuery(id: string) {
  return queryOptions({
    queryKey: ["directory-roles", id],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/directories/{id}/roles", { params: { path: { id } }, signal })),
  });
}

/** By which directories people may sign in. A console that does not say lets local accounts in. */
export const signInMethodsQuery = queryOptions({
  queryKey: ["sign-in-methods"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/sign-in/methods", { signal })),
  staleTime: 60_000,
});

export const apiClientsQuery = queryOptions({
  queryKey: ["api-clients"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/api-clients", { signal })),
  refetchInterval: QUIET_INTERVAL_MS,
});

export const sessionsQuery = queryOptions({
  queryKey: ["sessions"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/me/sessions", { signal })),
  refetchInterval: QUIET_INTERVAL_MS,
});

export function storageQuery(site: string) {
  return queryOptions({
    queryKey: ["storage", site],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/sites/{id}/storage", { params: { path: { id: site } }, signal })),
    refetchInterval: QUIET_INTERVAL_MS,
  });
}

export function siteServersQuery(id: string) {
  return queryOptions({
    queryKey: ["site-servers", id],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/sites/{id}/servers", { params: { path: { id } }, signal })),
    refetchInterval: LIVE_INTERVAL_MS * 2,
  });
}
