import type { Trouble } from "./messages";
import { PieceReader } from "./pieces";
import { Buffers, FragmentQueue, type FragmentRecord, RecordSplitter, StreamError } from "./records";
import { errorText, type FragmentRequest, type FragmentSource, SourceError } from "./source";

/** How much may lie ready. The larger of the two never decides: whichever is reached first stops the reading. */
export interface Limits {
  bytes: number;
  aheadUs: number;
  /** Asked for at once of what is recorded already: this much at most, and less where less lasts as long. */
  requestBytes: number;
  leastRequestBytes: number;
  requestUs: number;
  /** A live stream nobody reads is given back to the console after this time. */
  unreadMs: number;
}

export const LIMITS: Limits = {
  bytes: 8 * 1024 * 1024,
  aheadUs: 20_000_000,
  requestBytes: 2 * 1024 * 1024,
  leastRequestBytes: 128 * 1024,
  requestUs: 10_000_000,
  unreadMs: 10_000,
};

/**
 * - `idle`: nothing under way; `pump` may ask for more
 * - `reading`: a request is under way
 * - `waiting`: a request failed and will be made again
 * - `ended`: the recording has nothing more
 * - `failed`: refused for good, until the next `open`
 */
export type DriverState = "idle" | "reading" | "waiting" | "ended" | "failed";

/** This close to the live end the stream is kept open. */
const FOLLOW_US = 10_000_000;
const FIRST_DELAY_MS = 400;
const LONGEST_DELAY_MS = 5000;

/**
 * Fetches fragments ahead of the playhead and keeps within its limits.
 *
 * What is recorded already is fetched in requests of bounded size, the next when there is room. At the live end one
 * stream stays open; when there is no room it is simply not read. Both begin with `open` (a request by
 * time) and go on by number from wherever the decoder says it is.
 */
export class Driver {
  readonly queue = new FragmentQueue();
  /** Give it those of fragments that nobody needs any more. */
  readonly buffers = new Buffers();
  live: boolean;
  /** Bytes received since the beginning. */
  received = 0;
  trouble: Trouble | undefined;
  /** How often a request by time began anew: what it had brought before counts no longer. */
  restarts = 0;

  #state: DriverState = "idle";
  #abort: AbortController | undefined;
  /** Set while only a request by time may be made. */
  #opening: FragmentRequest | undefined;
  #lastSeq: number | undefined;
  #failures = 0;
  #positionUs = 0;
  #rate = 1;
  /** How dense the recording was in the last answer that told. */
  #bytesPerUs = 0;
  /** After this fragment a live recording had nothing more yet. */
  #nothingAfter: number | undefined;
  #room: (() => void) | undefined;
  #wake: (() => void) | undefined;

  constructor(
    private readonly source: FragmentSource,
    /** Called whenever something has changed: a fragment came, a request ended or failed. */
    private readonly changed: () => void,
    /** Called when a live stream ended of itself. */
    private readonly streamEnded: () => void,
    live: boolean,
    private readonly limits: Limits = LIMITS,
  ) {
    this.live = live;
  }

  get state(): DriverState {
    return this.#state;
  }

  /** Drops everything and asks for the pictures at a media time. */
  open(request: FragmentRequest): void {
    this.close();
    this.#opening = request;
    this.#lastSeq = undefined;
    this.#failures = 0;
    this.trouble = undefined;
    void this.#read(request);
  }

  /** Tells which fragment was decoded last; from here on requests go by number. */
  decoded(seq: number): void {
    this.#lastSeq = seq;
  }

  /** The request by time has done its work. */
  settle(): void {
    this.#opening = undefined;
  }

  /** Asks for more where there is room. Call it often. `endUs` is the end of the recording as far as it is known. */
  pump(positionUs: number, rate: number, endUs: number): void {
    this.#positionUs = positionUs;
    this.#rate = rate;
    if (this.#hasRoom()) this.#room?.();
    if (this.#state !== "idle" || this.#opening || this.#lastSeq === undefined || !this.#hasRoom()) return;
    // What lies in the queue follows the last decoded fragment without a hole.
    const afterSeq = this.#lastSeq + this.queue.length;
    const behindUs = endUs - (this.queue.endUs ?? positionUs);
    const follow = this.live && (behindUs < FOLLOW_US || this.#nothingAfter === afterSeq);
    void this.#read(follow ? { afterSeq, follow } : { afterSeq, maxBytes: this.#requestBytes() });
  }

  /** Some seconds' worth, by what came last. */
  #requestBytes(): number {
    const { requestBytes, leastRequestBytes, requestUs } = this.limits;
    const wanted = this.#bytesPerUs * requestUs * Math.max(1, this.#rate);
    return Math.round(Math.min(requestBytes, Math.max(leastRequestBytes, wanted)));
  }

  /** Makes a failed request again at once. */
  retry(): void {
    if (this.#state === "waiting") this.#wake?.();
    else if (this.#state === "failed" && this.#opening) this.open(this.#opening);
    else if (this.#state === "failed" || this.#state === "ended") this.#state = "idle";
  }

  /** Nothing follows the fragments that are here. */
  finish(): void {
    this.#cancel();
    this.#state = "ended";
  }

  /** Stops all requests and drops what lies ready. */
  close(): void {
    this.#cancel();
    this.queue.clear();
    this.#state = "idle";
  }

  #cancel(): void {
    const abort = this.#abort;
    this.#abort = undefined;
    abort?.abort();
    this.#room?.();
    this.#wake?.();
  }

  #hasRoom(): boolean {
    const end = this.queue.endUs;
    if (end === undefined) return true;
    return (
      this.queue.bytes < this.limits.bytes &&
      end - this.#positionUs < this.limits.aheadUs * Math.max(1, this.#rate)
    );
  }

  async #read(request: FragmentRequest): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.#state = "reading";
    let fragments = 0;
    try {
      const stream = await this.source(request, abort.signal);
      fragments = await this.#readStream(stream, abort);
    } catch (error) {
      if (this.#abort !== abort) return;
      this.#abort = undefined;
      await this.#failed(error, request);
      return;
    }
    if (this.#abort !== abort) return;
    this.#abort = undefined;
    this.#failures = 0;
    this.trouble = undefined;
    this.#state = "idle";
    if (request.follow) {
      // Either the recording ended or the console went away in good order. Whoever knows will say; until then ask again.
      this.streamEnded();
      if (fragments === 0) await this.#pause(1000);
    } else if (fragments === 0 && request.afterSeq !== undefined) {
      if (this.live) this.#nothingAfter = request.afterSeq;
      else this.#state = "ended";
    }
    this.changed();
  }

  /** Reads to the end of the stream, waiting while there is no room. Returns the number of fragments. */
  async #readStream(stream: ReadableStream<Uint8Array>, abort: AbortController): Promise<number> {
    const reader = new PieceReader(stream);
    const splitter = new RecordSplitter(this.buffers);
    let fragments = 0;
    try {
      for (;;) {
        const value = await reader.read();
        if (this.#abort !== abort) return fragments;
        if (!value) break;
        this.received += value.length;
        const records = splitter.push(value);
        for (const record of records) this.queue.push(record);
        this.#measure(records);
        fragments += records.length;
        if (records.length > 0) {
          this.#failures = 0;
          this.trouble = undefined;
          this.changed();
        }
        if (this.live && !this.#opening && !this.#hasRoom() && !(await this.#waitForRoom())) break;
        if (this.#abort !== abort) return fragments;
      }
      if (splitter.torn && !abort.signal.aborted && this.#hasRoom()) {
        throw new SourceError({ kind: "connection", detail: "the stream broke off within a fragment" }, true);
      }
    } finally {
      // A stream that is left early must not stay open at the console.
      reader.cancel();
    }
    return fragments;
  }

  #measure(records: FragmentRecord[]): void {
    const first = records[0];
    const last = records.at(-1);
    // An anchor that was sent ahead lies far back and says nothing of how dense the recording is here.
    if (!first || !last || this.#opening || last.endUs <= first.startUs) return;
    const bytes = records.reduce((sum, record) => sum + record.bytes.length, 0);
    this.#bytesPerUs = bytes / (last.endUs - first.startUs);
  }

  /** True when there is room again, false when nobody has read for so long that the stream is better given back. */
  #waitForRoom(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => finish(false), this.limits.unreadMs);
      const finish = (room: boolean) => {
        clearTimeout(timer);
        this.#room = undefined;
        resolve(room);
      };
      this.#room = () => finish(true);
    });
  }

  async #failed(error: unknown, request: FragmentRequest): Promise<void> {
    if (error instanceof StreamError) {
      this.trouble = { kind: "broken", detail: error.message };
      this.#state = "failed";
      this.changed();
      return;
    }
    const known =
      error instanceof SourceError
        ? error
        : new SourceError({ kind: "connection", detail: errorText(error) }, true);
    // A recording that has only just begun has nothing at time 0 yet.
    const early = this.live && request.atUs === 0 && known.trouble.kind === "outside";
    if (!known.passing && !early) {
      this.trouble = known.trouble;
      this.#state = "failed";
      this.changed();
      return;
    }
    this.#failures += 1;
    // One failure passes unseen: most are over with the first repetition.
    if (this.#failures > 1 && !early) this.trouble = known.trouble;
    this.#state = "waiting";
    this.changed();
    const delay = Math.min(FIRST_DELAY_MS * 2 ** (this.#failures - 1), LONGEST_DELAY_MS);
    const still = await this.#pause(known.retryAfterMs ?? delay);
    if (!still) return;
    if (this.#opening) {
      this.queue.clear();
      this.restarts += 1;
      void this.#read(this.#opening);
    } else {
      this.#state = "idle";
      this.changed();
    }
  }

  /** Waits; false when the driver was given something else to do meanwhile. */
  async #pause(ms: number): Promise<boolean> {
    const abort = new AbortController();
    this.#abort = abort;
    this.#state = "waiting";
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
    if (this.#abort !== abort) return false;
    this.#abort = undefined;
    this.#state = "idle";
    return true;
  }
}
