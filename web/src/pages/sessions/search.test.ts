import { describe, expect, it } from "vitest";
import { filtered, readSessionSearch, sessionQuery } from "./search";

describe("the address of the list of sessions", () => {
  it("asks for running sessions unless it says otherwise", () => {
    expect(sessionQuery(readSessionSearch({}))).toEqual({ state: "running", limit: 100 });
    expect(sessionQuery(readSessionSearch({ state: "all", recorded: "false" }))).toEqual({
      recorded: false,
      limit: 100,
    });
    expect(sessionQuery(readSessionSearch({ state: "ended", user: "ad", cursor: "x.1" }))).toEqual({
      state: "ended",
      user: "ad",
      cursor: "x.1",
      limit: 100,
    });
  });

  it("takes nonsense as not there", () => {
    const search = readSessionSearch({
      state: "gone",
      recorded: "maybe",
      user: 7,
      host: "",
      site: "x".repeat(201),
    });
    expect(Object.values(search).every((value) => value === undefined)).toBe(true);
    expect(filtered(search)).toBe(false);
    expect(filtered(readSessionSearch({ host: "ws" }))).toBe(true);
    expect(filtered(readSessionSearch({ session: "s1" }))).toBe(false);
  });
});
