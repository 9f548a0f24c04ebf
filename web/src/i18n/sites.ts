import { i18next } from "./index";

/** Texts of what the page about sites tells of servers and storage, loaded with it. */
export const sites = {
  cluster: {
    title: "Recording servers together",
    server: "Server",
    live: "Live recordings",
    sign: "Last sign of life",
    ago: "{{seconds}} s ago",
    durable: "Survives",
    durables: { disk: "a crash", shared: "loss of the server" },
    durableAbout: {
      disk: "What was acknowledged is on this server's disk.",
      shared: "What was acknowledged is in shared storage, too: another server can go on with it.",
    },
    states: {
      running: "Running",
      draining: "Handing over",
      stopped: "Stopped",
      silent: "Silent",
      lost: "Being replaced",
      gone: "Replaced",
    },
  },
  storage: {
    title: "Storage location",
    missing: "Where this site keeps its recordings is not known now. {{why}}",
    segments: "Files",
    bytes: "Size",
    free: "Free",
    states: { active: "Active", "read-only": "Closed", full: "Full", unreachable: "Not reached" },
    close: "Close",
    closeAbout: "Nothing new is stored here until it is opened again. What is here stays and plays.",
    open: "Open",
    openAbout: "New recordings are stored here again.",
    drain: "Drain",
    drainTitle: "Move everything away from this location?",
    drainAbout_one:
      "{{segments}} file ({{bytes}}) is copied to the other locations, compared, and removed here. Nothing new is stored here. Recordings can be played all the while.",
    drainAbout_other:
      "{{segments}} files ({{bytes}}) are copied to the other locations, compared, and removed here. Nothing new is stored here. Recordings can be played all the while.",
    drainBegun: "Moving has begun",
    tending: "What is stored",
    packed: "{{packed}} of {{all}} files packed denser, {{saved}} saved.",
    packedNone: "No file has been packed denser yet.",
    packedOff: "Files are not packed denser.",
    scrubbed: "Every file is read through and compared once in {{days}} days; the longest wait began",
    scrubOff: "Files are not read through.",
    damaged_one: "{{count}} stored file is damaged",
    damaged_other: "{{count}} stored files are damaged",
    damage: "Segment {{segment}} of recording {{recording}}",
    moves: "Moves",
    move: {
      waiting: "A move is waiting for its turn.",
      running: "Moving: {{segments}} files ({{bytes}}) so far.",
      failed: "A move left {{failed}} files where they were, after {{segments}} ({{bytes}}).",
    },
  },
} as const;

i18next.addResourceBundle("en", "translation", sites, true);
