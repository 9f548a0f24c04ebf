import { describe, expect, it } from "vitest";
import { joinNames, readAsked, readFacts, splitNames } from "./facts";

describe("the simulator's address", () => {
  it("holds any name", () => {
    for (const names of [[], ["ada"], ["CORP\\ada", "ada@corp.example"], ["a|b", "50%", "%7C", "a, b"]]) {
      expect(splitNames(joinNames(names))).toEqual(names);
    }
  });

  it("asks nothing while it is empty, and does not ask with what is no address", () => {
    expect(readAsked(readFacts({}))).toBeUndefined();
    expect(readAsked(readFacts({ users: 7, other: "x" }))).toBeUndefined();
    expect(readAsked(readFacts({ users: "ada", address: "10.0.0.0/8" }))).toEqual({ wrong: "10.0.0.0/8" });
  });

  it("asks with a running session before anything else", () => {
    const session = "01a2044a-48f7-7426-a4e0-08cbf1d401b7";
    expect(readAsked(readFacts({ session, users: "ada" }))).toEqual({ question: { session } });
    // A slip in the address is no session.
    expect(readFacts({ session: "s1" }).session).toBeUndefined();
  });

  it("asks about the desktop unless an application is named", () => {
    expect(readAsked(readFacts({ users: "ada|ADA", address: " fd00::1 " }))).toEqual({
      question: {
        facts: {
          users: ["ada", "ADA"],
          groups: [],
          application: "desktop",
          host: "",
          delivery_groups: [],
          address: "fd00::1",
          tags: [],
        },
      },
    });
  });
});
