import { describe, expect, it } from "vitest";
import { monitorsIn, nextMonitor } from "./monitors";

const left = { name: "DP-1", x: 0, y: 0, width: 1920, height: 1080 };
const right = { name: "DP-2", x: 1920, y: 100, width: 1280, height: 1024 };
const picture = { width: 3200, height: 1124 };

describe("monitors", () => {
  it("are offered from left to right where there are several", () => {
    expect(monitorsIn([right, left], picture)).toEqual([left, right]);
    expect(monitorsIn([left], picture)).toEqual([]);
    expect(monitorsIn(undefined, picture)).toEqual([]);
  });

  it("are cut off at the picture's edges, and left out beyond", () => {
    const odd = { name: "odd", x: -100, y: -10, width: 200, height: 50 };
    const beyond = { name: "gone", x: 3200, y: 0, width: 800, height: 600 };
    expect(monitorsIn([odd, right, beyond], { width: 3000, height: 1080 })).toEqual([
      { name: "odd", x: 0, y: 0, width: 100, height: 40 },
      { name: "DP-2", x: 1920, y: 100, width: 1080, height: 980 },
    ]);
    expect(monitorsIn([left, beyond], { width: 0, height: 0 })).toEqual([]);
  });

  it("follow one another, and all of them after the last", () => {
    const all = monitorsIn([left, right], picture);
    expect(nextMonitor(all, undefined)).toBe("DP-1");
    expect(nextMonitor(all, "DP-1")).toBe("DP-2");
    expect(nextMonitor(all, "DP-2")).toBeUndefined();
    expect(nextMonitor(all, "unplugged")).toBe("DP-1");
    expect(nextMonitor([], undefined)).toBeUndefined();
  });
});
