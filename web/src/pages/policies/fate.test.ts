import { describe, expect, it } from "vitest";
import { fate } from "./fate";
import type { RuleAction, UserSession } from "./types";

const session = (action: RuleAction, by = "policy") =>
  ({ recording: { action, recording: null, decided: { by }, trouble: null } }) as UserSession;

describe("what becomes of a running session", () => {
  it("follows the table of what happens at a rollover", () => {
    for (const now of ["record", "record-with-notice", "events", "events-with-notice"] as const) {
      expect(fate(session("disable"), now)).toBe("later");
    }
    expect(fate(session("record"), "disable")).toBe("stops");
    expect(fate(session("record-with-notice"), "disable")).toBe("stops");
    expect(fate(session("record"), "record-with-notice")).toBe("notify");
    expect(fate(session("record-with-notice"), "record")).toBe("goes");
    expect(fate(session("events"), "record")).toBe("goes");
    expect(fate(session("record"), "record")).toBe("same");
  });

  it("stays as somebody wanted it, and as the host's own settings say", () => {
    expect(fate(session("disable", "request"), "record")).toBe("hand");
    expect(fate(session("record", "settings"), "disable")).toBe("hand");
  });
});
