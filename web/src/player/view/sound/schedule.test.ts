import { describe, expect, it } from "vitest";
import { LiveDelay } from "./live-delay";
import { type Chunk, LEAD_S, type Place, Schedule } from "./schedule";
import { readSound } from "./stored";

const chunk = (atMs: number): Chunk => ({ atUs: atMs * 1000, lengthUs: 20_000, seconds: 0.02 });
const placed = (place: Place | "later" | "gone"): Place => {
  if (typeof place === "string") throw new Error(place);
  return place;
};

describe("the schedule", () => {
  it("puts sound where its picture is, without seams", () => {
    const schedule = new Schedule();
    const first = placed(schedule.place(chunk(1000), 5, 1, 5.9));
    expect(first).toEqual({ startS: 6, skipS: 0, joins: false });
    // The host's clock runs a little differently: still no seam.
    const second = placed(schedule.place({ ...chunk(1020), atUs: 1_020_400 }, 5, 1, 5.9));
    expect(second).toEqual({ startS: 6.02, skipS: 0, joins: true });
    expect(schedule.place(chunk(9000), 5, 1, 5.9)).toBe("later");
    expect(schedule.place(chunk(500), 5, 1, 5.9)).toBe("gone");
  });

  it("leaves a silence where there is one and follows the recording's clock when it is far off", () => {
    const schedule = new Schedule();
    placed(schedule.place(chunk(0), 1, 1, 0.9));
    expect(placed(schedule.place(chunk(200), 1, 1, 0.95))).toMatchObject({ startS: 1.2, joins: false });
    expect(schedule.isOff(1, 1)).toBe(false);
    expect(schedule.isOff(1.02, 1)).toBe(false);
    // Play was held up.
    expect(schedule.isOff(1.05, 1)).toBe(true);
    schedule.clear();
    expect(schedule.isOff(1.05, 1)).toBe(false);
  });

  it("starts late sound in its middle and never puts two sounds over each other", () => {
    const schedule = new Schedule();
    const late = placed(schedule.place(chunk(1000), 0, 1, 1.005));
    expect(late.startS).toBeCloseTo(1.01, 6);
    expect(late.skipS).toBeCloseTo(0.01, 6);
    const over = placed(schedule.place(chunk(1013), 0, 1, 1.005));
    expect(over.startS).toBeCloseTo(1.02, 6);
    expect(over.skipS).toBeCloseTo(0.007, 6);
  });

  it("plays twice as fast when asked to", () => {
    const schedule = new Schedule();
    const fast = { atUs: 2_000_000, lengthUs: 40_000, seconds: 0.02 };
    expect(placed(schedule.place(fast, 3, 2, 3.9)).startS).toBe(4);
    expect(placed(schedule.place({ ...fast, atUs: 2_040_000 }, 3, 2, 3.9))).toMatchObject({
      startS: 4.02,
      joins: true,
    });
    expect(schedule.place({ ...fast, atUs: (LEAD_S + 1) * 2e6 }, 3, 2, 3)).toBe("later");
  });
});

describe("the delay at the live end", () => {
  it("is that of the latest sound, with a margin, and comes down again", () => {
    const delay = new LiveDelay();
    delay.arrived(0, 400);
    expect(delay.zeroMs).toBe(460);
    delay.arrived(200_000, 590);
    expect(delay.zeroMs).toBe(460);
    delay.arrived(400_000, 1400);
    expect(delay.zeroMs).toBe(1060);
    for (let at = 2; at < 20; at += 1) delay.arrived(at * 1e6, at * 1000 + 400);
    expect(delay.zeroMs).toBe(460);
    delay.clear();
    expect(delay.zeroMs).toBeUndefined();
  });
});

describe("what is stored", () => {
  it("is read whatever it is", () => {
    expect(readSound(undefined)).toEqual({ muted: false, volume: 1 });
    expect(readSound({ muted: true, volume: 0.25 })).toEqual({ muted: true, volume: 0.25 });
    expect(readSound({ muted: "yes", volume: 7 })).toEqual({ muted: false, volume: 1 });
    expect(readSound("loud")).toEqual({ muted: false, volume: 1 });
  });
});
