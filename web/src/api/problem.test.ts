import { describe, expect, it } from "vitest";
import { asApiError, readProblem } from "./problem";

describe("problem documents", () => {
  it("are read with the last part of their type", () => {
    const problem = readProblem(
      403,
      {
        type: "/problems/password-change-required",
        title: "The password must be changed",
        detail: "Choose your own.",
        id: "e1",
      },
      null,
    );
    expect(problem).toMatchObject({
      status: 403,
      kind: "password-change-required",
      message: "Choose your own.",
      id: "e1",
      passing: false,
    });
  });

  it("may be missing or nonsense", () => {
    for (const body of [undefined, null, "text", [], { type: 7, title: {} }]) {
      expect(readProblem(500, body, null)).toMatchObject({ status: 500, kind: "", title: "", passing: true });
    }
    expect(readProblem(429, {}, "2.5").retryAfter).toBe(3);
    expect(readProblem(429, {}, "soon").retryAfter).toBeUndefined();
    expect(asApiError(new TypeError("x"))).toMatchObject({ status: 0, passing: true, away: true });
  });

  it("tells a console that is away from one that refuses", () => {
    expect(readProblem(502, undefined, null).away).toBe(true);
    expect(readProblem(504, { type: "/problems/site-late" }, null).away).toBe(false);
    expect(readProblem(500, undefined, null).away).toBe(false);
  });
});
