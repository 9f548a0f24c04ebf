import { type Anchor, Anchors } from "./anchors";
import { ANCHOR, type Core, type FragmentHead, LAST_OF_RECORDING, Step } from "./core";
import type { Driver } from "./driver";
import type { Trouble } from "./messages";
import type { FragmentRecord } from "./records";

/**
 * - `reached`: the picture is right for the time asked for
 * - `hungry`: everything here is applied and the time is not reached
 * - `busy`: the time allowed is used up
 */
export type Outcome = "reached" | "hungry" | "busy";

const MOST_TROUBLES = 20;
/** A fragment covers no more than this, microseconds. */
const LONGEST_FRAGMENT_US = 2_000_000;

/** Feeds the driver's fragments to the core, one at a time, and steps over those that are damaged. */
export class Decoding {
  /** Fragments decoded. */
  fragments = 0;
  /** Damaged stretches met, oldest first. */
  troubles: Trouble[] = [];
  /** The last fragment of the recording is applied. */
  finished = false;
  /** Media time up to which everything is applied or known to be empty, microseconds. */
  reachedUs = 0;

  readonly #anchors = new Anchors();
  #record: FragmentRecord | undefined;
  /** Among the anchors, which need its bytes. */
  #recordIsKept = false;
  #pending = false;
  /** After damage nothing fits until the next key frame, and saying so once is enough. */
  #skipping = false;
  #head: FragmentHead | undefined;
  /** The first fragment after a restart has an anchor: it may stand for itself, or belong to a later key frame. */
  #anchorFirst = false;
  #recordStartUs = 0;
  #recordEndUs = 0;
  /** An anchor that what comes first may rest on. It is decoded only when it does: it takes longer than all the rest. */
  #spare: Anchor | undefined;

  constructor(
    private readonly core: Core,
    private readonly driver: Driver,
    private readonly now: () => number,
  ) {}

  /** The fragment that was given to the core last. */
  get record(): FragmentRecord | undefined {
    return this.#record;
  }

  /** End of the last fragment given to the core. */
  get endUs(): number {
    return this.#recordEndUs;
  }

  /** Whether there is a picture to show since the last restart; an anchor alone is none. */
  get started(): boolean {
    return this.#head !== undefined && !(this.#anchorFirst && this.#skipping);
  }

  /** How long the fragment being played lasts, microseconds. */
  get fragmentUs(): number {
    return this.#recordEndUs - this.#recordStartUs;
  }

  /** An anchor that is here and not yet decoded, and likely to be needed for a media time. */
  anchorFor(atUs: number): Anchor | undefined {
    const anchor = this.#anchors.before(atUs);
    // What begins within the anchor's own fragment comes with it anyway.
    return anchor && atUs > anchor.record.endUs + LONGEST_FRAGMENT_US ? anchor : undefined;
  }

  /** Starts anew elsewhere; the next fragment is an anchor or a key frame, unless an anchor is given. */
  restart(anchor?: Anchor): void {
    this.core.seek(0);
    this.#pending = false;
    this.#skipping = false;
    this.#head = undefined;
    this.#anchorFirst = false;
    this.finished = false;
    this.#spare = anchor?.seq === this.core.anchorSeq() ? undefined : anchor;
  }

  /** Applies everything up to a media time, for at most `budgetMs`. */
  advance(untilUs: number, budgetMs: number): Outcome {
    const deadline = this.now() + budgetMs;
    let stepUs = untilUs;
    for (;;) {
      if (!this.#pending) {
        const next = this.driver.queue.peek();
        if (!next) {
          if (!this.finished && untilUs > this.#recordEndUs) {
            this.reachedUs = this.#recordEndUs;
            return "hungry";
          }
          this.reachedUs = untilUs;
          return "reached";
        }
        if (next.startUs > untilUs) {
          this.reachedUs = untilUs;
          return "reached";
        }
        this.#feed();
        continue;
      }
      const step = this.core.step(stepUs);
      if (step === Step.Reached) {
        this.#note();
        const next = this.driver.queue.peek();
        if (stepUs === untilUs && untilUs >= this.#recordEndUs && next && next.startUs <= untilUs) {
          // Where one fragment ends and the next begins, the picture of this very moment is in the next.
          stepUs = untilUs + 1;
          this.#pending = false;
          continue;
        }
        this.reachedUs = untilUs;
        return "reached";
      }
      if (step === Step.Error) {
        if (!this.#lendAnchor()) this.#damaged(this.core.errorText());
      } else if (step === Step.Again) {
        this.#note();
      } else {
        this.#pending = false;
        this.#note();
        if (step === Step.End || (this.#head && (this.#head.flags & LAST_OF_RECORDING) !== 0)) {
          this.finished = true;
        }
      }
      if (this.now() > deadline && (this.#pending || this.driver.queue.length > 0)) {
        this.reachedUs = Math.min(untilUs, this.#pending ? this.#recordStartUs : this.#recordEndUs);
        return "busy";
      }
    }
  }

  #feed(): void {
    const record = this.driver.queue.shift();
    if (record) this.#give(record);
  }

  /** What came first cannot be played by itself: puts the anchor before it that was kept. False when there is none. */
  #lendAnchor(): boolean {
    const [anchor, record] = [this.#spare, this.#record];
    this.#spare = undefined;
    if (!anchor || !record || this.#head) return false;
    this.driver.queue.putBack(record);
    this.#record = undefined;
    this.core.seek(0);
    this.#give(anchor.record);
    this.#recordIsKept = true;
    return true;
  }

  #give(record: FragmentRecord): void {
    if (this.#record && !this.#recordIsKept) this.driver.buffers.give(this.#record.bytes);
    this.#record = record;
    this.#recordIsKept = false;
    this.#recordStartUs = record.startUs;
    this.#recordEndUs = record.endUs;
    this.#pending = true;
    if (!this.core.push(record.bytes)) this.#damaged(this.core.errorText());
    else if (this.#anchorFirst) this.#tellAnchorApart(record);
  }

  /**
   * Looks at the second fragment without playing it. When it does not follow the first, that was sent for its anchor
   * only, and play, and with it the hash chain, starts here.
   */
  #tellAnchorApart(record: FragmentRecord): void {
    this.#anchorFirst = false;
    // What begins where the first ends follows it.
    if (!this.#head || record.startUs - 1 <= this.#head.endUs) return;
    if (this.core.step(record.startUs - 1) === Step.Error) {
      this.#anchorFirst = true;
      return;
    }
    const head = this.core.head();
    if (!head || head.seq <= this.#head.seq + 1) return;
    this.core.seek(head.seq);
    this.core.push(record.bytes);
    this.#head = undefined;
  }

  #note(): void {
    const head = this.core.head();
    if (!head || head.seq === this.#head?.seq) return;
    this.#recordEndUs = Math.max(this.#recordEndUs, head.endUs);
    this.#anchorFirst = this.#head === undefined && (head.flags & ANCHOR) !== 0;
    this.#head = head;
    this.#spare = undefined;
    this.#skipping = false;
    if ((head.flags & ANCHOR) !== 0 && this.#record) {
      this.#recordIsKept = true;
      this.#anchors.keep({ seq: head.anchorSeq, record: this.#record, fromUs: head.startUs });
    }
    this.fragments += 1;
    this.driver.decoded(head.seq);
  }

  #damaged(detail: string): void {
    this.#pending = false;
    // Its number can no longer be read, but numbers have no holes.
    if (this.#head) {
      this.#head = { ...this.#head, seq: this.#head.seq + 1 };
      this.driver.decoded(this.#head.seq);
    }
    this.core.seek(0);
    if (this.#skipping) return;
    this.#skipping = true;
    const kind = /version|newer/i.test(detail) ? "newer" : "damaged";
    this.troubles.push({ kind, detail, atUs: this.#recordStartUs });
    if (this.troubles.length > MOST_TROUBLES) this.troubles.shift();
  }
}
