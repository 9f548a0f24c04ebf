import { describe, expect, it } from "vitest";
import { isRange, readRange, touch, within, writeAddress } from "./addresses";

function ends(text: string): string | undefined {
  const range = readRange(text);
  return isRange(range)
    ? `${writeAddress(range.from, range.kind)} ${writeAddress(range.to, range.kind)}`
    : undefined;
}

function slip(text: string): string | undefined {
  const range = readRange(text);
  return isRange(range) ? undefined : range.slip;
}

describe("ranges of addresses", () => {
  it("are read as session hosts read them", () => {
    expect(ends("10.1.2.3")).toBe("10.1.2.3 10.1.2.3");
    expect(ends(" 10.0.0.0/8 ")).toBe("10.0.0.0 10.255.255.255");
    expect(ends("10.0.0.1 - 10.0.0.50")).toBe("10.0.0.1 10.0.0.50");
    expect(ends("0.0.0.0/0")).toBe("0.0.0.0 255.255.255.255");
    expect(ends("fd00::1")).toBe("fd00::1 fd00::1");
    expect(ends("fd00::/8")).toBe("fd00:: fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    expect(ends("::/0")).toBe(":: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    expect(ends("1:2:3:4:5:6:7:8")).toBe("1:2:3:4:5:6:7:8 1:2:3:4:5:6:7:8");
    expect(ends("::ffff:10.0.0.1")).toBe("10.0.0.1 10.0.0.1");
    expect(ends("2001:db8:0:0:1::")).toBe("2001:db8:0:0:1:: 2001:db8:0:0:1::");
  });

  it("name what is wrong", () => {
    for (const text of [
      "",
      "10.0.0",
      "10.0.0.256",
      "010.0.0.1",
      "10.0.0.1/",
      "10.0.0.1/+8",
      "x",
      ":::",
      "1::2::3",
    ]) {
      expect(slip(text), text).toBe("form");
    }
    for (const text of [
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "fd00::12345",
      "1:2:3:4:5:6:7::8",
      "fe80::1%eth0",
    ]) {
      expect(slip(text), text).toBe("form");
    }
    expect(readRange("10.0.0.0/33")).toEqual({ slip: "prefix", most: 32 });
    expect(readRange("fd00::/129")).toEqual({ slip: "prefix", most: 128 });
    expect(readRange("10.1.2.3/8")).toEqual({ slip: "host", network: "10.0.0.0/8" });
    expect(readRange("fd12:3::1/16")).toEqual({ slip: "host", network: "fd12::/16" });
    expect(slip("10.0.0.9-10.0.0.1")).toBe("order");
    expect(slip("10.0.0.1-fd00::1")).toBe("kinds");
  });

  it("lie within each other, touch, or neither", () => {
    const range = (text: string) => {
      const read = readRange(text);
      if (!isRange(read)) throw new Error(`expected a range, got ${text}`);
      return read;
    };
    expect(within(range("10.1.0.0/16"), range("10.0.0.0/8"))).toBe(true);
    expect(within(range("10.0.0.0/8"), range("10.1.0.0/16"))).toBe(false);
    expect(within(range("10.0.0.1"), range("::/0"))).toBe(false);
    expect(touch(range("10.0.0.1-10.0.0.9"), range("10.0.0.9-10.0.0.12"))).toBe(true);
    expect(touch(range("10.0.0.1"), range("10.0.0.2"))).toBe(false);
  });
});
