import { i18next } from "./index";

/** Texts of the page about API clients, loaded with it. */
export const clients = {
  clients: {
    title: "API clients",
    about:
      "Programs that use this console without anybody signing in: each with an id, a secret and what it may do.",
    create: "Create API client",
    createTitle: "Create an API client",
    createAbout:
      "It gets tokens for its id and secret, each good for an hour. Give it no more than it needs, and each program a client of its own.",
    name: "Name",
    nameAndId: "Name and client id",
    nameHint: "What is written down of whatever it does.",
    nameMissing: "Enter a name.",
    id: "Client id",
    secret: "Secret",
    tokenUrl: "Address for tokens",
    may: "It may",
    mayMissing: "Choose at least one.",
    valid: "It is good for",
    days_one: "{{count}} day",
    days_other: "{{count}} days",
    make: "Create",
    once: "Copy or save the secret now: it is shown this once and kept nowhere.",
    saveJson: "Save as JSON",
    saveCsv: "Save as CSV",
    done: "Done",
    madeBy: "Made by",
    lastUsed: "Last used",
    never: "never",
    expires: "Good until",
    expired: "Expired",
    customer: "Customer id",
    siteId: "Site id of {{site}}",
    revoke: "Revoke",
    revokeLabel: "Revoke the API client {{client}}",
    revokeTitle: "Revoke {{client}}?",
    revokeAbout: "It stops working at once, with all tokens it has got. This cannot be undone.",
    revoked: "API client revoked",
    emptyTitle: "No API client yet",
    empty: "Make one for a script that finds sessions and starts or stops recording them:",
  },
} as const;

i18next.addResourceBundle("en", "translation", clients, true);
