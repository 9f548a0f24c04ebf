/** How loud the viewer wants sound, as this browser remembers it. */
export interface Loudness {
  muted: boolean;
  /** 0 to 1. */
  volume: number;
}

/** Reads what is stored, whatever that may be. */
export function readSound(stored: unknown): Loudness {
  const { muted, volume } = (stored ?? {}) as Partial<Record<keyof Loudness, unknown>>;
  const known = typeof volume === "number" && volume >= 0 && volume <= 1;
  return { muted: muted === true, volume: known ? volume : 1 };
}
