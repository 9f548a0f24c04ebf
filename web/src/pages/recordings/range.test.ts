import { expect, it } from "vitest";
import { fromPicker, toPicker } from "./range";

it("shows and takes times of day of the zone that is shown", () => {
  const at = "2026-03-01T23:05:07.000Z";
  expect(toPicker(at, "UTC").getHours()).toBe(23);
  expect(toPicker(at, "UTC").getDate()).toBe(1);
  expect(fromPicker(toPicker(at, "UTC"), "UTC")).toBe(at);
  expect(fromPicker(toPicker(at, undefined), undefined)).toBe(at);
});
