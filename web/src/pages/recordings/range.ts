import type { Zone } from "../../format/time";

/**
 * The calendar knows only the reader's own zone. For another one it is given a moment at which the reader's clock shows
 * what the clock of that zone shows.
 */
export function toPicker(at: string, zone: Zone): Date {
  const moment = new Date(at);
  if (!zone) return moment;
  return new Date(
    moment.getUTCFullYear(),
    moment.getUTCMonth(),
    moment.getUTCDate(),
    moment.getUTCHours(),
    moment.getUTCMinutes(),
    moment.getUTCSeconds(),
  );
}

/** The moment that was meant, RFC 3339. */
export function fromPicker(shown: Date, zone: Zone): string {
  if (!zone) return shown.toISOString();
  const moment = Date.UTC(
    shown.getFullYear(),
    shown.getMonth(),
    shown.getDate(),
    shown.getHours(),
    shown.getMinutes(),
    shown.getSeconds(),
  );
  return new Date(moment).toISOString();
}
