// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ApiError, unreachable } from "../../../api/problem";
import type { EventPage } from "../../../api/types";
import { type Feed, follow, MOST_EVENTS } from "./feed";
import { event } from "./testing";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const page = (seconds: number[], next: string | null, more = false): EventPage => ({
  items: seconds.map((at) => event(at)),
  next,
  more,
});

/** Follows a console that answers one after another, and then says nothing new. */
function following(answers: (EventPage | Error)[]) {
  const asked: (string | undefined)[] = [];
  const told: Feed[] = [];
  const stop = new AbortController();
  const end = follow(
    async (cursor) => {
      asked.push(cursor);
      const next = answers.shift() ?? page([], cursor ?? "0-0");
      if (next instanceof Error) throw next;
      return next;
    },
    (feed) => told.push(feed),
    stop.signal,
  );
  return { asked, told, stop, end };
}

it("reads page after page until nothing more can come", async () => {
  const { asked, told, end } = following([page([1, 2], "1-1", true), page([], "5-0", true), page([3], null)]);
  await end;
  expect(asked).toEqual([undefined, "1-1", "5-0"]);
  expect(told.map((feed) => [feed.events.length, feed.caughtUp])).toEqual([
    [2, false],
    [3, true],
  ]);
});

it("asks a live recording for what comes, and tells only what is new", async () => {
  const { asked, told, stop, end } = following([page([1], "1-0"), page([], "2-0"), page([3], "4-0")]);
  await vi.advanceTimersByTimeAsync(1900);
  expect(asked).toEqual([undefined]);
  await vi.advanceTimersByTimeAsync(200);
  expect([asked.length, told.length]).toEqual([2, 1]);
  await vi.advanceTimersByTimeAsync(2000);
  expect(told.at(-1)?.events.map((e) => e.at_us)).toEqual([1_000_000, 3_000_000]);
  stop.abort();
  await end;
  const { length } = asked;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked.length).toBe(length);
});

it("goes on where it was after the console was away, and gives up when refused", async () => {
  const refused = new ApiError(403, "", "no", "forbidden", undefined, undefined);
  const { asked, told, end } = following([
    page([1], "1-0", true),
    unreachable("gone"),
    page([2], "2-0"),
    refused,
  ]);
  await vi.advanceTimersByTimeAsync(0);
  expect(told.at(-1)?.error?.away).toBe(true);
  await vi.advanceTimersByTimeAsync(3000);
  expect([told.at(-1)?.error, told.at(-1)?.events.length]).toEqual([undefined, 2]);
  await vi.advanceTimersByTimeAsync(2000);
  await end;
  expect(asked).toEqual([undefined, "1-0", "1-0", "2-0"]);
  expect(told.at(-1)?.error).toBe(refused);
});

it("lists no more than anybody can look at", async () => {
  const many = Array.from({ length: MOST_EVENTS }, (_, at) => at);
  const { told, asked, end } = following([page(many, "9-0", true)]);
  await end;
  expect([asked.length, told.at(-1)?.full]).toEqual([1, true]);
});
