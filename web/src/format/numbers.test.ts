import { describe, expect, it } from "vitest";
import { bytes, count, userName } from "./numbers";

describe("sizes and counts", () => {
  it("uses binary units with one decimal", () => {
    expect(bytes(0)).toBe("0 B");
    expect(bytes(1023)).toBe("1023 B");
    expect(bytes(1024)).toBe("1.0 KiB");
    expect(bytes(12.34 * 1024 * 1024)).toBe("12.3 MiB");
    // Never "1024.0 KiB".
    expect(bytes(1024 * 1024 - 1)).toBe("1.0 MiB");
    expect(bytes(5 * 1024 ** 5)).toBe("5.0 PiB");
    expect(bytes(5000 * 1024 ** 5)).toBe("5000.0 PiB");
  });

  it("says when a count is only a lower bound", () => {
    expect(count(12_345)).toBe("12,345");
    expect(count(10_000, false)).toBe("10,000+");
  });

  it("takes the domain off a user's name", () => {
    expect(userName("CORP\\ada")).toEqual({ name: "ada", domain: "CORP" });
    expect(userName("ada@corp.example")).toEqual({ name: "ada", domain: "corp.example" });
    expect(userName("ada")).toEqual({ name: "ada", domain: undefined });
    expect(userName("@ada")).toEqual({ name: "@ada", domain: undefined });
  });
});
