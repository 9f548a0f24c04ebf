import type { FragmentRecord } from "./records";

/** The most that is kept, bytes. */
const MOST_BYTES = 16 * 1024 * 1024;

export interface Anchor {
  /** The fragment that had it first: later ones may repeat it. */
  readonly seq: number;
  /** Media time from which it is known to be the one. */
  readonly fromUs: number;
  readonly record: FragmentRecord;
}

/**
 * The anchors met last. They are the largest fragments by far, and going back and forth between segments would fetch
 * them again and again.
 */
export class Anchors {
  /** Newest use last. */
  #kept: Anchor[] = [];

  keep(anchor: Anchor): void {
    const before = this.#kept.find((other) => other.seq === anchor.seq);
    const fromUs = Math.min(anchor.fromUs, before?.fromUs ?? anchor.fromUs);
    this.#kept = [...this.#kept.filter((other) => other !== before), { ...anchor, fromUs }];
    let bytes = this.#kept.reduce((sum, other) => sum + other.record.bytes.length, 0);
    // The one in use stays, however large it is.
    while (bytes > MOST_BYTES && this.#kept.length > 1) {
      bytes -= this.#kept.shift()?.record.bytes.length ?? 0;
    }
  }

  /** The anchor that a picture at this media time most likely rests on: the last one before it, of those kept. */
  before(atUs: number): Anchor | undefined {
    let found: Anchor | undefined;
    for (const anchor of this.#kept) {
      if (anchor.fromUs <= atUs && (!found || anchor.fromUs > found.fromUs)) found = anchor;
    }
    return found;
  }
}
