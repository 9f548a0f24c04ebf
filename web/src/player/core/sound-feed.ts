import type { Core, SoundPacket } from "./core";
import type { SoundPiece } from "./messages";
import type { FragmentQueue, FragmentRecord } from "./records";

/** Sound is read so far ahead of the playhead: it stands up to some seconds after the picture of the same moment. */
const AHEAD_US = 4_000_000;
/** The decoder needs this much before the sound that is to be heard, to get into its stride. */
const BEFORE_US = 100_000;
/** A tick reads no more than so many fragments: what is left waits for the next. */
const MOST_A_TICK = 2;
/** At higher speeds there is no sound. */
export const FASTEST_WITH_SOUND = 2;

/** Reads sound out of fragments before their pictures are due, and hands it to the page. */
export class SoundFeed {
  /** Whether sound is wanted. */
  on = false;
  #run = 0;
  #read = new WeakSet<FragmentRecord>();
  #last: FragmentRecord | undefined;

  constructor(
    private readonly core: Core,
    private readonly give: (piece: Omit<SoundPiece, "atMs">, transfer: Transferable[]) => void,
  ) {}

  /** What comes now does not follow what came before. */
  begin(): void {
    this.#run += 1;
    this.#read = new WeakSet();
    this.#last = undefined;
  }

  /** Reads what is due. Call it often while playing. `current` is the fragment whose pictures are being played. */
  pump(positionUs: number, rate: number, current: FragmentRecord | undefined, queue: FragmentQueue): void {
    if (!this.on || !this.core.hasSound() || rate > FASTEST_WITH_SOUND) {
      // What was handed over so far ends where it ends; the rest would not follow it.
      if (this.#last) this.begin();
      return;
    }
    const packets: SoundPacket[] = [];
    let count = 0;
    if (current && !this.#read.has(current)) {
      this.#take(current, positionUs, packets);
      count += 1;
    }
    for (const record of queue.items()) {
      if (count >= MOST_A_TICK || record.startUs > positionUs + AHEAD_US * Math.max(1, rate)) break;
      if (this.#read.has(record)) continue;
      this.#take(record, positionUs, packets);
      count += 1;
    }
    if (packets.length === 0) return;
    this.give(
      { run: this.#run, packets },
      packets.map((packet) => packet.bytes.buffer),
    );
  }

  #take(record: FragmentRecord, positionUs: number, packets: SoundPacket[]): void {
    this.#read.add(record);
    this.#last = record;
    // What was heard after the playhead comes after it too.
    if (record.endUs < positionUs - BEFORE_US) return;
    for (const packet of this.core.readSound(record.bytes)) {
      if (packet.atUs >= positionUs - BEFORE_US) packets.push(packet);
    }
  }
}
