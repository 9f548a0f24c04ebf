/** The part of a recording that the seek bar shows, microseconds. */
export interface View {
  fromUs: number;
  toUs: number;
}

/** The bar zooms in no further than this. */
export const SHORTEST_VIEW_US = 5_000_000;

export function wholeView(durationUs: number): View {
  return { fromUs: 0, toUs: Math.max(1, durationUs) };
}

export function isWhole(view: View, durationUs: number): boolean {
  return view.fromUs <= 0 && view.toUs >= durationUs;
}

/** Where a media time lies on a bar of `width` pixels; outside of it when it is not in view. */
export function xOf(us: number, view: View, width: number): number {
  return ((us - view.fromUs) / (view.toUs - view.fromUs)) * width;
}

/** The media time at a place on the bar, kept within the recording. */
export function usAt(x: number, view: View, width: number, durationUs: number): number {
  if (width <= 0) return view.fromUs;
  const us = view.fromUs + (x / width) * (view.toUs - view.fromUs);
  return Math.round(Math.min(Math.max(0, us), durationUs));
}

/** Zooms by a factor (less than 1: closer) while the media time `aroundUs` stays where it is. */
export function zoomed(view: View, durationUs: number, aroundUs: number, factor: number): View {
  const span = view.toUs - view.fromUs;
  const next = Math.max(Math.min(span * factor, durationUs), Math.min(SHORTEST_VIEW_US, durationUs));
  if (next >= durationUs) return wholeView(durationUs);
  const share = span > 0 ? (aroundUs - view.fromUs) / span : 0;
  return fitted(aroundUs - share * next, next, durationUs);
}

export function panned(view: View, durationUs: number, byUs: number): View {
  return fitted(view.fromUs + byUs, view.toUs - view.fromUs, durationUs);
}

/** The view moved on when the playhead has left it. */
export function following(view: View, durationUs: number, positionUs: number): View {
  if (positionUs >= view.fromUs && positionUs <= view.toUs) return view;
  const span = view.toUs - view.fromUs;
  return fitted(positionUs - span / 10, span, durationUs);
}

function fitted(fromUs: number, span: number, durationUs: number): View {
  const from = Math.min(Math.max(0, fromUs), Math.max(0, durationUs - span));
  return { fromUs: from, toUs: from + span };
}

const S = 1_000_000;
const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];

/** Times worth a label, at least `apart` pixels from each other. */
export function ticks(view: View, width: number, apart: number): number[] {
  const span = view.toUs - view.fromUs;
  if (width <= 0 || span <= 0) return [];
  const least = (span / width) * apart;
  const days = Math.ceil(least / (86_400 * S)) * 86_400;
  const step = (TICKS.find((seconds) => seconds * S >= least) ?? days) * S;
  const found: number[] = [];
  for (let at = Math.ceil(view.fromUs / step) * step; at <= view.toUs; at += step) found.push(at);
  return found;
}

/**
 * The highest activity that falls on a stretch of media time. What is asked for may reach beyond what is known, in which
 * case there is nothing.
 */
export function activityIn(
  buckets: readonly number[],
  bucketUs: number,
  fromUs: number,
  toUs: number,
): number {
  if (bucketUs <= 0) return 0;
  const first = Math.max(0, Math.floor(fromUs / bucketUs));
  const last = Math.min(buckets.length - 1, Math.max(first, Math.ceil(toUs / bucketUs) - 1));
  let most = 0;
  for (let at = first; at <= last; at += 1) most = Math.max(most, buckets[at] ?? 0);
  return most;
}

/** Where marks for these times come on the bar, whole pixels, each once; what is out of view has none. Times are in order. */
export function marksIn(events: readonly { at_us: number }[], view: View, width: number): number[] {
  const found: number[] = [];
  for (const { at_us } of events) {
    if (at_us < view.fromUs) continue;
    if (at_us > view.toUs) break;
    const x = Math.min(Math.max(1, Math.round(xOf(at_us, view, width))), Math.max(1, width - 2));
    if (found.at(-1) !== x) found.push(x);
  }
  return found;
}

export type Activity = "none" | "little" | "some" | "much";

/** Activity from 0 to 255 in a word. */
export function activityWord(activity: number): Activity {
  if (activity <= 0) return "none";
  return activity < 48 ? "little" : activity < 144 ? "some" : "much";
}

/**
 * Where the picture comes when one part of it fills the box as far as it can: pixel (px, py) lies at (x + px * scale, y + py * scale).
 */
export function placed(
  box: { width: number; height: number },
  part: { x: number; y: number; width: number; height: number },
): { x: number; y: number; scale: number } {
  const { x, y, scale } = contained(box, part);
  return { x: x - part.x * scale, y: y - part.y * scale, scale };
}

/** The largest rectangle of the picture's shape within a box, in the middle of it. */
export function contained(
  box: { width: number; height: number },
  picture: { width: number; height: number },
): { x: number; y: number; scale: number } {
  if (picture.width <= 0 || picture.height <= 0) return { x: 0, y: 0, scale: 1 };
  const scale = Math.min(box.width / picture.width, box.height / picture.height);
  return {
    x: (box.width - picture.width * scale) / 2,
    y: (box.height - picture.height * scale) / 2,
    scale,
  };
}
