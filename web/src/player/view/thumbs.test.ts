import { expect, it } from "vitest";
import { stretchOf } from "./thumbs";

it("cuts a recording into stretches of equal length", () => {
  expect(stretchOf(0, 1000, 10)).toBe(0);
  expect(stretchOf(999, 1000, 10)).toBe(9);
  expect(stretchOf(1000, 1000, 10)).toBe(9);
  expect(stretchOf(5000, 1000, 10)).toBe(9);
  expect(stretchOf(-1, 1000, 10)).toBe(0);
  expect(stretchOf(7, 0, 10)).toBe(0);
});
