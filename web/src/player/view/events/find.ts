import type { RecordingEvent } from "../../../api/types";

/** Addresses hold milliseconds: a link to an event may lead to just before it. */
const SLACK_US = 1000;

/** Index of the last event at or before a media time; -1 before the first. */
export function currentAt(events: readonly RecordingEvent[], us: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((events[middle]?.at_us ?? 0) <= us + SLACK_US) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The events whose words hold every word of the text, in any letter case. */
export function matching(
  events: readonly RecordingEvent[],
  text: string,
  wordsOf: (event: RecordingEvent) => string,
): readonly RecordingEvent[] {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (wanted.length === 0) return events;
  return events.filter((event) => {
    const words = wordsOf(event).toLowerCase();
    return wanted.every((word) => words.includes(word));
  });
}

/** The rows to draw of a list that is scrolled, with some more at either end; [from, to). */
export function rowsIn(
  count: number,
  rowHeight: number,
  scrollTop: number,
  height: number,
): [number, number] {
  const from = Math.max(0, Math.floor(scrollTop / rowHeight) - 10);
  const to = Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + 10);
  return [Math.min(from, to), to];
}
