/** Texts for times and durations. Media times are microseconds. */

const SECOND_US = 1_000_000;

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** A length of time in words: `1 h 02 m 05 s`, `2 m 05 s`, `5 s`. Parts of a second are dropped. */
export function duration(us: number): string {
  const total = Math.max(0, Math.floor(us / SECOND_US));
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const seconds = total % 60;
  if (hours > 0) return `${hours} h ${two(minutes)} m ${two(seconds)} s`;
  if (minutes > 0) return `${minutes} m ${two(seconds)} s`;
  return `${seconds} s`;
}

/** A media time as a clock shows it: `01:02:05`, with tenths when asked for. Hours go beyond 99. */
export function clock(us: number, tenths = false): string {
  const whole = Math.max(0, us);
  const total = Math.floor(whole / SECOND_US);
  const text = `${two(Math.floor(total / 3600))}:${two(Math.floor((total % 3600) / 60))}:${two(total % 60)}`;
  return tenths ? `${text}.${Math.floor((whole % SECOND_US) / 100_000)}` : text;
}

/** The zone in which wall-clock times are shown; undefined: the reader's own. */
export type Zone = "UTC" | undefined;

function formats(timeZone: Zone) {
  return {
    day: new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit", timeZone }),
    time: new Intl.DateTimeFormat("en-GB", {
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      timeZone,
    }),
  };
}

const own = formats(undefined);
const utc = formats("UTC");

/** A wall-clock time: `2026-03-01 10:30:00`. */
export function dateTime(at: Date, zone?: Zone): string {
  const { day, time } = zone ? utc : own;
  return `${day.format(at)} ${time.format(at)}`;
}

/** The time of day: `10:30:00`. */
export function timeOfDay(at: Date, zone?: Zone): string {
  return (zone ? utc : own).time.format(at);
}

/** The zone's name; the reader's own with its offset at that moment: `Europe/Vienna (UTC+01:00)`. */
export function zoneName(at: Date, zone?: Zone): string {
  if (zone) return zone;
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const minutes = -at.getTimezoneOffset();
  const sign = minutes < 0 ? "-" : "+";
  const offset = `UTC${sign}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
  return name ? `${name} (${offset})` : offset;
}

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

/** How long ago, in one unit: `3 minutes ago`, `yesterday`, `now`. */
export function ago(at: Date, now: Date): string {
  const seconds = Math.round((at.getTime() - now.getTime()) / 1000);
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return Math.abs(seconds) < 5 ? "now" : relative.format(seconds, "second");
}

/** Seconds for an address: at most three decimals, none when whole. */
export function addressSeconds(us: number): string {
  return String(Math.round(us / 1000) / 1000);
}
