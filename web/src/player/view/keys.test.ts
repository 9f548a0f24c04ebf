import { describe, expect, it } from "vitest";
import { player } from "../../i18n/player";
import { actionOf, HELP, nextRate, RATES } from "./keys";
import { readStart } from "./start";

const press = (key: string, held: Partial<Record<"ctrlKey" | "metaKey" | "altKey", boolean>> = {}) =>
  actionOf({ key, ctrlKey: false, metaKey: false, altKey: false, ...held });

describe("keys", () => {
  it("do what people expect of a player", () => {
    expect(press(" ")).toEqual({ do: "toggle" });
    expect(press("k")).toEqual({ do: "toggle" });
    expect(press("ArrowLeft")).toEqual({ do: "move", byUs: -5_000_000 });
    expect(press("l")).toEqual({ do: "move", byUs: 10_000_000 });
    expect(press("0")).toEqual({ do: "share", of: 0 });
    expect(press("9")).toEqual({ do: "share", of: 0.9 });
    expect(press("<")).toEqual({ do: "speed", direction: -1 });
    expect(press(".")).toEqual({ do: "frame", direction: 1 });
    expect(press("?")).toEqual({ do: "help" });
    expect(press("m")).toEqual({ do: "mute" });
    expect(press("ArrowDown")).toEqual({ do: "volume", by: -0.1 });
  });

  it("work with caps lock, and leave the browser's own alone", () => {
    expect(press("X")).toEqual({ do: "skip-idle" });
    expect(press("s", { ctrlKey: true })).toBeUndefined();
    expect(press("f", { metaKey: true })).toBeUndefined();
    expect(press("ArrowLeft", { altKey: true })).toBeUndefined();
    expect(press("q")).toBeUndefined();
    expect(press("Tab")).toBeUndefined();
  });

  it("are all in the help", () => {
    const shown = new Set<string>(HELP.flatMap(([keys]) => keys));
    for (const key of "KJL,.<>XMVNSYTEDFI?") expect(shown.has(key)).toBe(true);
    for (const [keys] of HELP) {
      for (const key of keys.filter((name) => name.length === 1 && !/[←→↑↓…]/.test(name))) {
        expect(press(key), key).toBeDefined();
      }
    }
    expect(HELP.map(([, action]) => action).sort()).toEqual(Object.keys(player.player.keys).sort());
  });

  it("go through the speeds and stop at both ends", () => {
    expect(nextRate(1, 1)).toBe(1.5);
    expect(nextRate(16, 1)).toBe(16);
    expect(nextRate(1, -1)).toBe(0.5);
    expect(nextRate(0.5, -1)).toBe(RATES[0]);
    expect(nextRate(3, -1)).toBe(2);
  });
});

describe("a time in an address", () => {
  it("is seconds or a clock", () => {
    expect(readStart("75.5")).toBe(75_500_000);
    expect(readStart("01:15")).toBe(75_000_000);
    expect(readStart("1:01:15.25")).toBe(3_675_250_000);
    expect(readStart("-3")).toBe(-3_000_000);
    expect(readStart("12.345678")).toBe(12_345_678);
    for (const nonsense of [undefined, "", "abc", "1:2:3:4", "Infinity", "1e3", "NaN"]) {
      expect(readStart(nonsense)).toBeUndefined();
    }
  });
});
