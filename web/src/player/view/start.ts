/**
 * Reads a time from an address: seconds (`75.5`), or a clock (`01:15`, `1:01:15`). Returns microseconds, which may lie
 * outside of any recording; undefined when it is no time at all.
 */
export function readStart(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const parts = /^(-?)(?:(\d+):)?(?:(\d+):)?(\d+(?:\.\d+)?)$/.exec(text.trim());
  if (!parts) return undefined;
  const [, sign, first, second, seconds] = parts;
  const hours = second === undefined ? 0 : Number(first);
  const minutes = second === undefined ? Number(first ?? 0) : Number(second);
  const us = Math.round((hours * 3600 + minutes * 60 + Number(seconds)) * 1_000_000);
  return sign ? -us : us;
}
