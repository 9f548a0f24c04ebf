import type { RecordingEvent } from "../../../api/types";

/** An event at a time in seconds: a notice, unless said otherwise. */
export function event(
  seconds: number,
  type = "notice",
  particulars: Record<string, unknown> = { what: "shown" },
): RecordingEvent {
  const at = new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString();
  return { at_us: seconds * 1_000_000, at, type, particulars };
}
