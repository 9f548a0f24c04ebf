import { expect, it } from "vitest";
import { sentence } from "./sentence";

it("makes a sentence of a message, and leaves one alone", () => {
  expect(sentence("there is no such recording at this site")).toBe(
    "There is no such recording at this site.",
  );
  expect(sentence("Try again.")).toBe("Try again.");
  expect(sentence("who asks?")).toBe("Who asks?");
  expect(sentence(" ")).toBe("");
});
