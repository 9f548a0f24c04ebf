import { describe, expect, it } from "vitest";
import { currentAt, matching, rowsIn } from "./find";
import { event } from "./testing";

describe("events", () => {
  const all = [event(1), event(2), event(2), event(5)];

  it("are current from their time on, the last of several at once", () => {
    const at = (seconds: number) => currentAt(all, seconds * 1_000_000);
    expect([0, 0.9, 1, 1.9, 2, 4.9, 5, 99].map(at)).toEqual([-1, -1, 0, 0, 2, 2, 3, 3]);
    expect(currentAt([], 7)).toBe(-1);
    // An address holds milliseconds.
    expect(currentAt([{ ...event(0), at_us: 1_000_499 }], 1_000_000)).toBe(0);
  });

  it("are found by all words of a text in any order and letter case", () => {
    const words = (e: typeof event extends (...a: never[]) => infer R ? R : never) => `Notice ${e.at_us}`;
    expect(matching(all, "  ", words)).toBe(all);
    expect(matching(all, "1000000 NOTICE", words)).toEqual([all[0]]);
    expect(matching(all, "notice 7", words)).toEqual([]);
  });

  it("are drawn where they are in view, with a few more", () => {
    expect(rowsIn(1000, 48, 4800, 480)).toEqual([90, 120]);
    expect(rowsIn(5, 48, 0, 480)).toEqual([0, 5]);
    expect(rowsIn(0, 48, 0, 480)).toEqual([0, 0]);
    // A list that became shorter while it was scrolled.
    expect(rowsIn(5, 48, 48_000, 480)).toEqual([5, 5]);
  });
});
