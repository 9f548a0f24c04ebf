import { i18next } from "./index";

/** Texts about the events of a recording, loaded with the player. */
export const events = {
  title: "Events",
  filter: "Filter",
  close: "Close events",
  found: "{{found}} of {{all}}",
  only: "Only events of this session were recorded, not its screen.",
  none: "No events in this recording.",
  noneYet: "Nothing has happened yet.",
  noneFound: "No event fits. Change the filter.",
  full: "Only the first 20,000 events are listed.",
  kinds: { notice: "Notice", helper: "Agent", unknown: "Unknown" },
  notice: {
    shown: "The user was told of the recording",
    dismissed: "The user put the notice away",
    asked: "The user was asked to consent",
    accepted: "The user consented to the recording",
    denied: "The user declined: session ended",
    closed: "Notice closed by force, shown again",
    failed: "The notice could not be shown",
  },
  noticeOther: "Notice: {{what}}",
  helperKilled: "Helper killed (signal {{signal}}), restarted",
  helperStopped: "Helper stopped by somebody, restarted",
  helperEnded: "Helper ended by itself, restarted",
  unknown: "The agent told something that cannot be read",
} as const;

i18next.addResourceBundle("en", "events", events);
