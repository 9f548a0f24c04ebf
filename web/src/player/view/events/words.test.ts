import type { TFunction } from "i18next";
import { expect, it } from "vitest";
import { i18next } from "../../../i18n";
import { events } from "../../../i18n/events";
import { event } from "./testing";
import { eventKind, eventWords } from "./words";

const t = i18next.getFixedT("en", "events") as TFunction<"events">;
const words = (type: string, particulars: Record<string, unknown>) =>
  eventWords(t, event(0, type, particulars));

it("has words for everything that agents tell", () => {
  for (const [what, text] of Object.entries(events.notice)) expect(words("notice", { what })).toBe(text);
  expect(words("helper-ended", { signal: 9 })).toContain("signal 9");
  expect(words("helper-ended", { signal: 19 })).toContain("stopped");
  expect(words("helper-ended", { signal: null })).toContain("by itself");
  expect(words("unknown", {})).toContain("cannot be read");
});

it("shows what agents of later versions tell as it came", () => {
  expect(words("notice", { what: "eaten" })).toBe("Notice: eaten");
  expect(words("notice", { what: "toString" })).toBe("Notice: toString");
  expect(words("notice", {})).toContain("cannot be read");
  expect(words("app-start", { name: "vault", pids: [1, 2] })).toBe("name: vault, pids: [1,2]");
  expect(words("app-start", {})).toBe("app-start");
  expect(eventKind(t, event(0, "app-start"))).toBe("app-start");
  expect(eventKind(t, event(0))).toBe("Notice");
});
