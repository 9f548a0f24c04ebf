import { describe, expect, it } from "vitest";
import {
  activityIn,
  activityWord,
  contained,
  following,
  isWhole,
  marksIn,
  panned,
  placed,
  ticks,
  usAt,
  wholeView,
  xOf,
  zoomed,
} from "./geometry";

const S = 1_000_000;
const HOUR = 3600 * S;

describe("activity", () => {
  it("is the highest of a stretch, and none where nothing is known", () => {
    const buckets = [0, 10, 200, 5];
    expect(activityIn(buckets, 100, 0, 100)).toBe(0);
    expect(activityIn(buckets, 100, 150, 250)).toBe(200);
    expect(activityIn(buckets, 100, 301, 302)).toBe(5);
    expect(activityIn(buckets, 100, 1000, 2000)).toBe(0);
    expect(activityIn([], 100, 0, 100)).toBe(0);
    expect(activityIn(buckets, 0, 0, 100)).toBe(0);
  });

  it("is found at once when what is known does not fit the length", () => {
    const started = performance.now();
    for (let pixel = 0; pixel < 2000; pixel += 1) activityIn([0, 0, 0], 1, pixel * HOUR, (pixel + 1) * HOUR);
    expect(performance.now() - started).toBeLessThan(200);
  });

  it("has words", () => {
    expect([0, 1, 100, 255].map(activityWord)).toEqual(["none", "little", "some", "much"]);
  });
});

describe("the seek bar's geometry", () => {
  it("finds places and times", () => {
    const view = wholeView(HOUR);
    expect(xOf(HOUR / 2, view, 1000)).toBe(500);
    expect(usAt(500, view, 1000, HOUR)).toBe(HOUR / 2);
    expect(usAt(-20, view, 1000, HOUR)).toBe(0);
    expect(usAt(1020, view, 1000, HOUR)).toBe(HOUR);
    expect(usAt(10, view, 0, HOUR)).toBe(0);
  });

  it("zooms around the pointer and no further than makes sense", () => {
    let view = wholeView(HOUR);
    view = zoomed(view, HOUR, HOUR / 4, 0.5);
    expect(view).toEqual({ fromUs: HOUR / 8, toUs: HOUR / 8 + HOUR / 2 });
    expect(xOf(HOUR / 4, view, 1000)).toBeCloseTo(250);
    for (let turn = 0; turn < 50; turn += 1) view = zoomed(view, HOUR, HOUR / 4, 0.5);
    expect(view.toUs - view.fromUs).toBe(5 * S);
    expect(isWhole(view, HOUR)).toBe(false);
    for (let turn = 0; turn < 50; turn += 1) view = zoomed(view, HOUR, HOUR / 4, 2);
    expect(view).toEqual(wholeView(HOUR));
    expect(isWhole(view, HOUR)).toBe(true);
    // A recording shorter than the closest view is always shown as a whole.
    expect(zoomed(wholeView(2 * S), 2 * S, S, 0.5)).toEqual(wholeView(2 * S));
    expect(zoomed(wholeView(0), 0, 0, 0.5)).toEqual(wholeView(0));
  });

  it("moves sideways and with the playhead, but not off the recording", () => {
    const view = { fromUs: 0, toUs: HOUR / 4 };
    expect(panned(view, HOUR, -S)).toEqual(view);
    expect(panned(view, HOUR, 2 * HOUR)).toEqual({ fromUs: (3 * HOUR) / 4, toUs: HOUR });
    expect(following(view, HOUR, HOUR / 8)).toBe(view);
    const moved = following(view, HOUR, HOUR / 2);
    expect(moved.fromUs).toBeLessThan(HOUR / 2);
    expect(moved.toUs).toBeGreaterThan(HOUR / 2);
  });

  it("labels round times that have room", () => {
    expect(ticks(wholeView(HOUR), 1000, 100)).toEqual([0, 10, 20, 30, 40, 50, 60].map((m) => m * 60 * S));
    expect(ticks({ fromUs: 61 * S, toUs: 66 * S }, 1000, 100)).toEqual(
      [61, 62, 63, 64, 65, 66].map((s) => s * S),
    );
    // Weeks long, and still no more labels than fit.
    expect(ticks(wholeView(30 * 24 * HOUR), 1000, 100).length).toBeLessThanOrEqual(11);
    expect(ticks(wholeView(HOUR), 0, 100)).toEqual([]);
  });

  it("fills the stage with one part of the picture", () => {
    // The right one of two monitors, half its size, in the middle.
    const part = { x: 1920, y: 80, width: 1000, height: 1000 };
    expect(placed({ width: 700, height: 500 }, part)).toEqual({ x: 100 - 960, y: -40, scale: 0.5 });
    const all = { x: 0, y: 0, width: 2000, height: 1000 };
    expect(placed({ width: 1000, height: 1000 }, all)).toEqual(contained({ width: 1000, height: 1000 }, all));
  });

  it("fits a picture into the stage", () => {
    expect(contained({ width: 1000, height: 1000 }, { width: 2000, height: 1000 })).toEqual({
      x: 0,
      y: 250,
      scale: 0.5,
    });
    expect(contained({ width: 1000, height: 100 }, { width: 200, height: 100 })).toEqual({
      x: 400,
      y: 0,
      scale: 1,
    });
    expect(contained({ width: 10, height: 10 }, { width: 0, height: 0 }).scale).toBe(1);
  });
});

describe("marks of events", () => {
  const view = { fromUs: 10 * S, toUs: 20 * S };
  const at = (...seconds: number[]) =>
    marksIn(
      seconds.map((second) => ({ at_us: second * S })),
      view,
      100,
    );

  it("stand where the event is, once for several at one place, and within the bar", () => {
    expect(at(12, 12, 12.04, 15)).toEqual([20, 50]);
    expect(at(10, 20)).toEqual([1, 98]);
    expect(at(1, 9.9, 20.1)).toEqual([]);
    expect(marksIn([], view, 0)).toEqual([]);
  });
});
