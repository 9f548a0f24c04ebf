import { useEffect, useState } from "react";
import { answer, api } from "../../../api/client";
import { type ApiError, asApiError } from "../../../api/problem";
import type { EventPage, RecordingEvent } from "../../../api/types";

/** Events asked for at a time. */
const PAGE = 1000;
/** No more are listed: a page with more is no use to anybody. */
export const MOST_EVENTS = 20_000;
/** How often a live recording is asked for new ones. */
const LIVE_INTERVAL_MS = 2000;
/** What failed for a reason that passes is tried again. */
const AWAY_INTERVAL_MS = 3000;

export interface Feed {
  events: readonly RecordingEvent[];
  /** All that have happened so far are there. */
  caughtUp: boolean;
  /** There are more than are listed. */
  full: boolean;
  error: ApiError | undefined;
}

const EMPTY: Feed = { events: [], caughtUp: false, full: false, error: undefined };

type Ask = (cursor: string | undefined, signal: AbortSignal) => Promise<EventPage>;

/** Reads page after page, and what comes later, until nothing more can come or the signal tells to stop. */
export async function follow(ask: Ask, tell: (feed: Feed) => void, signal: AbortSignal): Promise<void> {
  let feed = EMPTY;
  let cursor: string | undefined;
  while (!signal.aborted) {
    let wait = 0;
    try {
      const page = await ask(cursor, signal);
      if (signal.aborted) return;
      const events = page.items.length > 0 ? [...feed.events, ...page.items] : feed.events;
      const full = events.length >= MOST_EVENTS && page.next !== null;
      const next: Feed = { events, caughtUp: !page.more, full, error: undefined };
      // Nobody needs to be told that nothing has come.
      if (page.items.length > 0 || next.caughtUp !== feed.caughtUp || feed.error) tell(next);
      feed = next;
      if (page.next === null || full) return;
      cursor = page.next;
      wait = page.more ? 0 : LIVE_INTERVAL_MS;
    } catch (reason) {
      if (signal.aborted) return;
      const error = asApiError(reason);
      feed = { ...feed, error };
      tell(feed);
      if (!error.passing) return;
      wait = AWAY_INTERVAL_MS;
    }
    if (wait > 0) await pause(wait, signal);
  }
}

/** The events of a recording, and of a live one those that come. */
export function useEvents(id: string): Feed {
  const [feed, setFeed] = useState(EMPTY);
  useEffect(() => {
    const stop = new AbortController();
    const ask: Ask = (cursor, signal) =>
      answer(
        api.GET("/api/v1/recordings/{id}/events", {
          params: { path: { id }, query: { limit: PAGE, ...(cursor ? { cursor } : {}) } },
          signal,
        }),
      );
    setFeed(EMPTY);
    void follow(ask, setFeed, stop.signal);
    return () => stop.abort();
  }, [id]);
  return feed;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      done();
    });
  });
}
