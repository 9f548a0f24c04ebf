import type { Spans } from "./messages";

/** This much stillness is shown before the jump, so that the last thing done can be seen. */
const LEAD_US = 1_000_000;
/** The jump lands this long before the next thing happens. */
const TAIL_US = 500_000;

/** Where to jump from a media time when it lies in an idle span; undefined when it does not. */
export function idleJump(spans: Spans, atUs: number): number | undefined {
  const span = spanAt(spans, atUs);
  if (!span) return undefined;
  const target = span[1] - TAIL_US;
  return atUs >= span[0] + LEAD_US && atUs < target - TAIL_US ? target : undefined;
}

/** The span that holds a media time. The spans are in order, so halving finds it. */
export function spanAt(spans: Spans, atUs: number): [number, number] | undefined {
  let low = 0;
  let high = spans.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const span = spans[middle] as [number, number];
    if (atUs < span[0]) high = middle - 1;
    else if (atUs >= span[1]) low = middle + 1;
    else return span;
  }
  return undefined;
}

/** Joins two lists of spans into one, in order and without overlaps. */
export function joinSpans(a: Spans, b: Spans): Spans {
  const all = [...a, ...b].filter(([from, to]) => to > from).sort((x, y) => x[0] - y[0]);
  const joined: Spans = [];
  for (const [from, to] of all) {
    const last = joined.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  return joined;
}
