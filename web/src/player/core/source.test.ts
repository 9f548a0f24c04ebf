import { describe, expect, it } from "vitest";
import { fragmentAddress, httpSource, SourceError } from "./source";

const asking = (response: Response | Error) =>
  httpSource("/api/v1/recordings/r/fragments", async () => {
    if (response instanceof Error) throw response;
    return response;
  })({ atUs: 5 }, new AbortController().signal);

async function refusal(response: Response | Error): Promise<SourceError> {
  const error = await asking(response).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(SourceError);
  return error as SourceError;
}

describe("requests for fragments", () => {
  it("are written as the console reads them", () => {
    expect(fragmentAddress("/f", { atUs: 12.6, anchorSeq: 0, untilUs: 20 })).toBe(
      "/f?at=13&anchor=0&until=20",
    );
    expect(fragmentAddress("/f", { afterSeq: 7, follow: true })).toBe("/f?after=7&follow=true");
    expect(fragmentAddress("/f", { afterSeq: 7, maxBytes: 100, follow: false })).toBe(
      "/f?after=7&max_bytes=100",
    );
  });

  it("tell what to do about a refusal", async () => {
    const problem = (status: number, body: unknown, headers = {}) =>
      refusal(new Response(JSON.stringify(body), { status, headers }));
    const outside = await problem(416, { detail: "0 to 5 s", id: "e7" });
    expect(outside.trouble).toEqual({ kind: "outside", detail: "0 to 5 s", httpStatus: 416, id: "e7" });
    expect(outside.passing).toBe(false);
    expect((await problem(403, { title: "Not allowed" })).trouble).toMatchObject({
      kind: "refused",
      detail: "Not allowed",
    });
    const busy = await problem(503, {}, { "retry-after": "3" });
    expect([busy.passing, busy.retryAfterMs]).toEqual([true, 3000]);
    expect((await problem(503, {}, { "retry-after": "86400" })).retryAfterMs).toBe(60_000);
  });

  it("survive answers that are no problem documents", async () => {
    const proxy = await refusal(new Response("<html>502</html>", { status: 502 }));
    expect([proxy.passing, proxy.trouble.detail]).toEqual([true, "the console answered 502"]);
    const odd = await refusal(new Response("null", { status: 404 }));
    expect(odd.trouble).toMatchObject({ kind: "refused", httpStatus: 404 });
    const gone = await refusal(new TypeError("Failed to fetch"));
    expect([gone.passing, gone.trouble.kind]).toEqual([true, "connection"]);
  });
});
