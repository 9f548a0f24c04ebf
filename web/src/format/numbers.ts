const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** A size in binary units with one decimal: `12.3 MiB`. Bytes have none. */
export function bytes(value: number): string {
  let size = Math.max(0, value);
  let unit = 0;
  while (size >= 1023.95 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${Math.round(size)} B` : `${size.toFixed(1)} ${UNITS[unit]}`;
}

const whole = new Intl.NumberFormat("en-US");

/** A count: `12,345`; `10,000+` when it is only known to be at least that. */
export function count(value: number, exact = true): string {
  return exact ? whole.format(value) : `${whole.format(value)}+`;
}

/** A user's name without its domain, and the domain when there is one. */
export function userName(user: string): { name: string; domain: string | undefined } {
  const backslash = user.indexOf("\\");
  if (backslash > 0) return { name: user.slice(backslash + 1), domain: user.slice(0, backslash) };
  const at = user.lastIndexOf("@");
  if (at > 0) return { name: user.slice(0, at), domain: user.slice(at + 1) };
  return { name: user, domain: undefined };
}
