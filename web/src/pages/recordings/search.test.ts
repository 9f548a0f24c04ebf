import { describe, expect, it } from "vitest";
import { readAddress, writeAddress } from "../../app/address";
import { changed, filtered, listQuery, nextSort, readListSearch } from "./search";

const NOW = Date.parse("2026-03-10T12:34:56.789Z");

describe("the list's address", () => {
  it("survives being written and read", () => {
    const search = readListSearch(
      readAddress(
        "?from=2026-03-01T00:00:00.000Z&user=ada%26co&host=9&state=live&site=s1&sort=-bytes&size=100&cursor=abc",
      ),
    );
    expect(search).toEqual({
      from: "2026-03-01T00:00:00.000Z",
      user: "ada&co",
      host: "9",
      state: "live",
      site: "s1",
      sort: "-bytes",
      size: 100,
      cursor: "abc",
    });
    expect(readListSearch(readAddress(writeAddress({ ...search })))).toEqual(search);
  });

  it("leaves out nonsense and what is the default anyway", () => {
    const search = readListSearch(
      readAddress("?range=century&from=tomorrow&state=dead&sort=-started_at&size=50&user=&x=1&sort2=y"),
    );
    expect(search).toEqual({});
    expect(readListSearch({ sort: "--bytes", size: "7", user: 5 })).toEqual({});
    expect(filtered(search)).toBe(false);
  });

  it("lets a moving range win over fixed times", () => {
    expect(readListSearch(readAddress("?range=day&from=2026-03-01T00:00:00Z"))).toEqual({ range: "day" });
  });

  it("becomes a request that stays the same within a minute", () => {
    const query = listQuery({ range: "hour", user: "ada" }, NOW);
    expect(query).toEqual({
      from: "2026-03-10T11:34:00.000Z",
      user: "ada",
      sort: "-started_at",
      limit: 50,
    });
    expect(listQuery({ range: "hour", user: "ada" }, NOW + 3000)).toEqual(query);
  });

  it("starts at the first page after any change", () => {
    const search = { cursor: "abc", user: "ada", range: "day" as const };
    expect(changed(search, { user: undefined })).toEqual({ range: "day" });
    expect(changed(search, { from: "2026-03-01T00:00:00.000Z" })).toEqual({
      user: "ada",
      from: "2026-03-01T00:00:00.000Z",
    });
    expect(changed({ from: "x", to: "y" }, { range: "week" })).toEqual({ range: "week" });
    expect(changed({ sort: "bytes", size: 25 }, { sort: "-started_at", size: 50 })).toEqual({});
  });

  it("sorts by a column first as one mostly wants it", () => {
    expect(nextSort(undefined, "started_at")).toBe("started_at");
    expect(nextSort(undefined, "bytes")).toBe("-bytes");
    expect(nextSort("-bytes", "bytes")).toBe("bytes");
    expect(nextSort("-bytes", "user")).toBe("user");
    expect(nextSort("user", "user")).toBe("-user");
  });
});
