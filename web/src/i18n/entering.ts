import { i18next } from "./index";

/** Texts of signing in by directories, loaded with the page for signing in. */
export const entering = {
  by: "Sign in by",
  local: "Local account",
  with: "Continue with {{directory}}",
  or: "or",
  problems: {
    expired: "Signing in took too long, or began in another window. Try again.",
    denied: "The sign-in was cancelled at {{directory}}.",
    provider:
      "Signing in by {{directory}} did not work. Try again; when it goes on, an administrator finds the reason in the console's log.",
    "no-role":
      "{{directory}} knows you, but neither you nor your groups were given a role here. Ask an administrator.",
    closed: "Nobody signs in this way any more. Choose another.",
    failed: "The console could not do this. Try again; the console's log holds the cause.",
  },
  subject: "Tell the administrator this identifier: {{subject}}",
} as const;

i18next.addResourceBundle("en", "entering", entering);
