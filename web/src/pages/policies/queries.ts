import { queryOptions } from "@tanstack/react-query";
import { answer, api } from "../../api/client";
import type { PolicyAnswer, PolicyDetail, PolicyQuestion } from "./types";

const INTERVAL_MS = 10_000;
/** Sessions that pickers and forecasts look at. */
export const MOST_SESSIONS = 500;

export function policiesQuery(site: string) {
  return queryOptions({
    queryKey: ["policies", site],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/sites/{id}/policies", { params: { path: { id: site } }, signal })),
    refetchInterval: INTERVAL_MS,
  });
}

/** Not asked again by itself: it is being edited. */
export function policyQuery(site: string, policy: string) {
  return queryOptions({
    queryKey: ["policy", site, policy],
    queryFn: ({ signal }) => readPolicy(site, policy, signal),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
}

export function readPolicy(site: string, policy: string, signal?: AbortSignal): Promise<PolicyDetail> {
  const params = { path: { id: site, policy } };
  return answer(api.GET("/api/v1/sites/{id}/policies/{policy}", signal ? { params, signal } : { params }));
}

export function versionsQuery(site: string, policy: string) {
  return queryOptions({
    queryKey: ["policy-versions", site, policy],
    queryFn: ({ signal }) =>
      answer(
        api.GET("/api/v1/sites/{id}/policies/{policy}/versions", {
          params: { path: { id: site, policy } },
          signal,
        }),
      ),
  });
}

export function diffQuery(site: string, policy: string, from: number, to: number) {
  return queryOptions({
    queryKey: ["policy-diff", site, policy, from, to],
    queryFn: ({ signal }) =>
      answer(
        api.GET("/api/v1/sites/{id}/policies/{policy}/diff", {
          params: { path: { id: site, policy }, query: { from, to } },
          signal,
        }),
      ),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function historyQuery(site: string) {
  return queryOptions({
    queryKey: ["policy-history", site],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/sites/{id}/policy-history", { params: { path: { id: site } }, signal })),
    refetchInterval: INTERVAL_MS,
  });
}

export function noticesQuery(site: string) {
  return queryOptions({
    queryKey: ["notices", site],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/sites/{id}/notices", { params: { path: { id: site } }, signal })),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    refetchOnWindowFocus: false,
  });
}

/** The sessions of a site that run now, those first that began last. */
export function runningQuery(site: string) {
  return queryOptions({
    queryKey: ["running-sessions", site],
    queryFn: ({ signal }) =>
      answer(
        api.GET("/api/v1/sessions", {
          params: { query: { site, state: "running", limit: MOST_SESSIONS } },
          signal,
        }),
      ),
    staleTime: 5000,
  });
}

/** What a policy would do with a session, and why. */
export async function ask(site: string, body: PolicyQuestion, signal?: AbortSignal): Promise<PolicyAnswer> {
  const params = { path: { id: site } };
  const told: unknown = await answer(
    api.POST("/api/v1/sites/{id}/policy-simulation", { params, body, signal: signal ?? null }),
  );
  return told as PolicyAnswer;
}
