import { QueryCache, QueryClient } from "@tanstack/react-query";
import { asApiError } from "../api/problem";

/** Called when any request says that nobody is signed in, or that the password must be changed first. */
let onSession: (reason: "signed-out" | "password") => void = () => undefined;

export function watchSession(listener: typeof onSession): void {
  onSession = listener;
}

function check(error: unknown): void {
  const problem = asApiError(error);
  // A wrong password in a form is the form's affair.
  if (problem.status === 401 && problem.kind !== "wrong-password") onSession("signed-out");
  else if (problem.status === 403 && problem.kind === "password-change-required") onSession("password");
}

export const queryClient = new QueryClient({
  queryCache: new QueryCache({
    // Whoever asks who is signed in expects that nobody is.
    onError: (error, query) => {
      if (query.queryKey[0] !== "me") check(error);
    },
  }),
  defaultOptions: {
    queries: {
      // What passes by itself is asked for again; a refusal stays one.
      retry: (failures, error) => failures < 2 && asApiError(error).passing,
      staleTime: 1000,
    },
    mutations: { onError: check },
  },
});
