/** The playhead stays this far behind what has arrived, so that pictures keep their rhythm. */
const LONGEST_LAG_US = 250_000;
/** Further behind than this it jumps. */
const SLACK_US = 150_000;

/** Behind by more than this it runs faster, so that what comes late is not shown later still. */
const TIGHT_US = 60_000;
const CATCH_UP = 2;

/**
 * Where the playhead belongs at the live end: it runs with the clock, about one fragment behind what has arrived,
 * never beyond it, and jumps when it has fallen behind.
 */
export function livePosition(
  positionUs: number,
  passedUs: number,
  edgeUs: number,
  fragmentUs: number,
): number {
  const lag = Math.min(Math.max(0, fragmentUs), LONGEST_LAG_US);
  const behind = edgeUs - positionUs;
  const next = positionUs + passedUs * (behind > TIGHT_US ? CATCH_UP : 1);
  if (next < edgeUs - lag - SLACK_US) return edgeUs - lag;
  return Math.max(positionUs, Math.min(next, edgeUs));
}
