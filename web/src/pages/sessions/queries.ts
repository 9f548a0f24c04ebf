import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { answer, api } from "../../api/client";
import type { components } from "../../api/schema";
import { type SessionSearch, sessionQuery } from "./search";

export type UserSession = components["schemas"]["UserSession"];

const LIVE_INTERVAL_MS = 2000;

export function userSessionsQuery(search: SessionSearch) {
  const query = sessionQuery(search);
  return queryOptions({
    queryKey: ["user-sessions", query],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/sessions", { params: { query }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: LIVE_INTERVAL_MS,
  });
}

export function userSessionQuery(id: string) {
  return queryOptions({
    queryKey: ["user-session", id],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/sessions/{id}", { params: { path: { id } }, signal })),
    refetchInterval: LIVE_INTERVAL_MS,
  });
}
