import createClient from "openapi-fetch";
import { readProblem, unreachable } from "./problem";
import type { paths } from "./schema";

export const api = createClient<paths>({
  baseUrl: window.location.origin,
  credentials: "same-origin",
  // The console takes changes as JSON only, even those without a body: no other page can make a browser send that.
  headers: { "content-type": "application/json" },
  fetch: (request) => fetch(request),
});

interface Answered<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of an answer. Throws ApiError when it was refused or never came. */
export async function answer<T>(call: Promise<Answered<T>>): Promise<T> {
  let answered: Answered<T>;
  try {
    answered = await call;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw unreachable(error);
  }
  const { data, error, response } = answered;
  if (!response.ok) throw readProblem(response.status, error, response.headers.get("retry-after"));
  return data as T;
}
