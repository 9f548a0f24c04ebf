import { describe, expect, it } from "vitest";
import { addressSeconds, ago, clock, dateTime, duration, timeOfDay, zoneName } from "./time";

const S = 1_000_000;

describe("durations and clocks", () => {
  it("says durations in words", () => {
    expect(duration(0)).toBe("0 s");
    expect(duration(59.9 * S)).toBe("59 s");
    expect(duration(65 * S)).toBe("1 m 05 s");
    expect(duration(3725 * S)).toBe("1 h 02 m 05 s");
    expect(duration(100 * 3600 * S)).toBe("100 h 00 m 00 s");
    expect(duration(-S)).toBe("0 s");
  });

  it("shows clocks, beyond 99 hours too", () => {
    expect(clock(3725 * S)).toBe("01:02:05");
    expect(clock(3725.96 * S, true)).toBe("01:02:05.9");
    expect(clock(360_000 * S)).toBe("100:00:00");
    expect(clock(-5)).toBe("00:00:00");
  });

  it("writes seconds for addresses", () => {
    expect(addressSeconds(12_000_000)).toBe("12");
    expect(addressSeconds(12_345_678)).toBe("12.346");
  });
});

describe("wall clock", () => {
  it("is in the reader's zone, and names it", () => {
    const at = new Date(2026, 2, 1, 9, 5, 7);
    expect(dateTime(at)).toBe("2026-03-01 09:05:07");
    expect(dateTime(new Date(2026, 2, 1))).toBe("2026-03-01 00:00:00");
    expect(zoneName(at)).toMatch(/UTC[+-]\d\d:\d\d/);
  });

  it("is in UTC when asked for", () => {
    const at = new Date("2026-03-01T23:05:07Z");
    expect(dateTime(at, "UTC")).toBe("2026-03-01 23:05:07");
    expect(timeOfDay(at, "UTC")).toBe("23:05:07");
    expect(zoneName(at, "UTC")).toBe("UTC");
  });

  it("says how long ago in one unit", () => {
    const now = new Date("2026-03-10T12:00:00Z");
    const past = (seconds: number) => ago(new Date(now.getTime() - seconds * 1000), now);
    expect(past(2)).toBe("now");
    expect(past(40)).toBe("40 seconds ago");
    expect(past(119)).toBe("1 minute ago");
    expect(past(3 * 3600)).toBe("3 hours ago");
    expect(past(86_400)).toBe("yesterday");
  });
});
