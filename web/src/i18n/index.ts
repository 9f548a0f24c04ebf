import i18next from "i18next";
import { initReactI18next } from "react-i18next";
// Texts of pages that are loaded later; they add themselves.
import type { account } from "./account";
import type { clients } from "./clients";
import type { directories } from "./directories";
import { en } from "./en";
import type { entering } from "./entering";
import type { events } from "./events";
import type { hosts } from "./hosts";
import type { player } from "./player";
import type { policies } from "./policies";
import type { sessions } from "./sessions";
import type { sites } from "./sites";

declare module "i18next" {
  interface CustomTypeOptions {
    resources: {
      translation: typeof en & typeof account & typeof clients & typeof hosts & typeof player & typeof sites;
      directories: typeof directories;
      entering: typeof entering;
      events: typeof events;
      policies: typeof policies;
      sessions: typeof sessions;
    };
  }
}

void i18next.use(initReactI18next).init({
  lng: "en",
  fallbackLng: "en",
  resources: { en: { translation: en } },
  // React escapes what it shows.
  interpolation: { escapeValue: false },
  initAsync: false,
});

export { i18next };
