import { describe, expect, it } from "vitest";
import { idleJump, joinSpans, spanAt } from "./idle";
import { livePosition } from "./live-clock";
import type { Spans } from "./messages";

const S = 1_000_000;

describe("idle time", () => {
  const spans: Spans = [
    [10 * S, 20 * S],
    [30 * S, 32 * S],
    [50 * S, 90 * S],
  ];

  it("finds the span of a time", () => {
    expect(spanAt(spans, 15 * S)).toEqual([10 * S, 20 * S]);
    expect(spanAt(spans, 20 * S)).toBeUndefined();
    expect(spanAt(spans, 10 * S)).toEqual([10 * S, 20 * S]);
    expect(spanAt(spans, 95 * S)).toBeUndefined();
    expect(spanAt([], 1)).toBeUndefined();
  });

  it("is skipped after a moment, up to shortly before something happens", () => {
    expect(idleJump(spans, 10.5 * S)).toBeUndefined();
    expect(idleJump(spans, 11 * S)).toBe(19.5 * S);
    expect(idleJump(spans, 19.2 * S)).toBeUndefined();
    // Too short to be worth a jump.
    expect(idleJump(spans, 31.2 * S)).toBeUndefined();
    expect(idleJump(spans, 89.5 * S)).toBeUndefined();
  });

  it("is joined with gaps", () => {
    expect(
      joinSpans(
        [
          [0, 5],
          [10, 20],
        ],
        [
          [4, 8],
          [20, 25],
          [30, 30],
        ],
      ),
    ).toEqual([
      [0, 8],
      [10, 25],
    ]);
  });
});

describe("the live clock", () => {
  it("runs a little faster than time up to what has come", () => {
    expect(livePosition(0, 16_000, 200_000, 200_000)).toBe(32_000);
    expect(livePosition(150_000, 16_000, 200_000, 200_000)).toBe(166_000);
    expect(livePosition(190_000, 16_000, 200_000, 200_000)).toBe(200_000);
    expect(livePosition(200_000, 16_000, 200_000, 200_000)).toBe(200_000);
  });

  it("jumps when it has fallen behind, never back", () => {
    expect(livePosition(0, 16_000, 5_000_000, 200_000)).toBe(4_800_000);
    // Long fragments are not waited out.
    expect(livePosition(0, 16_000, 2_000_000, 1_000_000)).toBe(1_750_000);
    expect(livePosition(500_000, 16_000, 400_000, 200_000)).toBe(500_000);
  });
});
