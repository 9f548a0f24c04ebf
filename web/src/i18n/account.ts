import { i18next } from "./index";

/** Texts of the page about one's own account, loaded with it. */
export const account = {
  account: {
    title: "Account",
    about: "Who you are here, and where you are signed in.",
    user: "User",
    role: "Role",
    may: "You may",
    change: "Change password",
    elsewhere: "Your password is kept by your directory. Change it there.",
    preferences: "This browser",
    sessions: "Sessions",
    sessionsAbout:
      "Where you are signed in. A session ends after 8 hours without use and after 24 hours in any case.",
    browser: "Browser",
    address: "Address",
    opened: "Signed in",
    used: "Last used",
    ends: "Ends",
    current: "This session",
    unknown: "unknown program",
    end: "End",
    endLabel: "End the session of {{browser}} from {{address}}",
    ended: "Session ended",
    everywhere: "Sign out everywhere",
    everywhereTitle: "Sign out everywhere?",
    everywhereAbout: "All {{count}} sessions end, this one included, and whatever they are playing.",
    everywhereOne: "This session ends. It is the only one.",
  },
} as const;

i18next.addResourceBundle("en", "translation", account, true);
