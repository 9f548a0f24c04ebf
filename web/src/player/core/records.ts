/** One fragment as it came: a whole MCAP Chunk record with the times that stand uncompressed at its start. */
export interface FragmentRecord {
  /** The record: opcode, length, content. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Media time of the first thing in it, microseconds. */
  readonly startUs: number;
  /** Media time of the last thing in it, microseconds. It may tell of more time than this, which its head says. */
  readonly endUs: number;
}

/** Bytes that are no sequence of Chunk records. The stream cannot be followed any further. */
export class StreamError extends Error {}

const CHUNK_OPCODE = 0x06;
const PREFIX = 9;
/** Start time, end time, uncompressed size, CRC and the two length fields: less than this is no chunk. */
const SMALLEST_CONTENT = 40;
/** The most a fragment may be: 64 MiB uncompressed, and compression may add a little. */
export const LARGEST_RECORD = 72 * 1024 * 1024;

/** Buffers of fragments that are decoded, for those to come: less than a browser would let pile up before it looks for garbage. */
export class Buffers {
  #free: ArrayBuffer[] = [];
  #bytes = 0;

  constructor(private readonly most = 6 * 1024 * 1024) {}

  /** Room for so many bytes, with whatever stands there. */
  take(length: number): Uint8Array<ArrayBuffer> {
    const fits = (buffer: ArrayBuffer) =>
      buffer.byteLength >= length && buffer.byteLength <= length * 2 + 65_536;
    const at = this.#free.findIndex(fits);
    const [buffer] = at < 0 ? [] : this.#free.splice(at, 1);
    if (!buffer) return new Uint8Array(length);
    this.#bytes -= buffer.byteLength;
    return new Uint8Array(buffer, 0, length);
  }

  /** Takes back what nobody looks at any more. */
  give({ buffer }: Uint8Array<ArrayBuffer>): void {
    this.#free.push(buffer);
    this.#bytes += buffer.byteLength;
    while (this.#bytes > this.most) this.#bytes -= this.#free.shift()?.byteLength ?? this.#bytes;
  }
}

/** Cuts a stream of bytes, arriving in pieces of any size, into fragments. Holds at most one unfinished record. */
export class RecordSplitter {
  #prefix = new Uint8Array(PREFIX);
  #filled = 0;
  #record: Uint8Array<ArrayBuffer> | undefined;

  constructor(private readonly buffers = new Buffers()) {}

  /** Takes the next piece and returns the fragments it completed. Throws StreamError. */
  push(piece: Uint8Array): FragmentRecord[] {
    const done: FragmentRecord[] = [];
    let rest = piece;
    while (rest.length > 0) {
      if (!this.#record) {
        rest = this.#fillPrefix(rest);
        continue;
      }
      const take = Math.min(rest.length, this.#record.length - this.#filled);
      this.#record.set(rest.subarray(0, take), this.#filled);
      this.#filled += take;
      rest = rest.subarray(take);
      if (this.#filled === this.#record.length) {
        done.push(describe(this.#record));
        this.#record = undefined;
        this.#filled = 0;
      }
    }
    return done;
  }

  /** Whether a record has begun and is not complete. */
  get torn(): boolean {
    return this.#filled > 0;
  }

  #fillPrefix(piece: Uint8Array): Uint8Array {
    const take = Math.min(piece.length, PREFIX - this.#filled);
    this.#prefix.set(piece.subarray(0, take), this.#filled);
    this.#filled += take;
    if (this.#prefix[0] !== CHUNK_OPCODE) {
      throw new StreamError(`expected a fragment (opcode ${CHUNK_OPCODE}), got opcode ${this.#prefix[0]}`);
    }
    if (this.#filled === PREFIX) {
      const length = Number(new DataView(this.#prefix.buffer).getBigUint64(1, true));
      if (length < SMALLEST_CONTENT || length > LARGEST_RECORD) {
        throw new StreamError(
          `expected a fragment of ${SMALLEST_CONTENT} to ${LARGEST_RECORD} bytes, got ${length}`,
        );
      }
      this.#record = this.buffers.take(PREFIX + length);
      this.#record.set(this.#prefix);
    }
    return piece.subarray(take);
  }
}

function describe(bytes: Uint8Array<ArrayBuffer>): FragmentRecord {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const startUs = Number(view.getBigUint64(PREFIX, true) / 1000n);
  const endUs = Number(view.getBigUint64(PREFIX + 8, true) / 1000n);
  return { bytes, startUs, endUs: Math.max(startUs, endUs) };
}

/** Fragments that have arrived and are not yet decoded, oldest first. */
export class FragmentQueue {
  #items: FragmentRecord[] = [];
  #bytes = 0;
  #lastEndUs = 0;

  push(record: FragmentRecord): void {
    this.#items.push(record);
    this.#bytes += record.bytes.length;
    this.#lastEndUs = record.endUs;
  }

  shift(): FragmentRecord | undefined {
    const record = this.#items.shift();
    if (record) this.#bytes -= record.bytes.length;
    return record;
  }

  /** Takes back the one that was shifted last. */
  putBack(record: FragmentRecord): void {
    if (this.#items.length === 0) this.#lastEndUs = record.endUs;
    this.#items.unshift(record);
    this.#bytes += record.bytes.length;
  }

  peek(): FragmentRecord | undefined {
    return this.#items[0];
  }

  /** All that are here, oldest first. */
  items(): Iterable<FragmentRecord> {
    return this.#items;
  }

  clear(): void {
    this.#items = [];
    this.#bytes = 0;
  }

  get length(): number {
    return this.#items.length;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Media time of the last thing here; undefined when there is nothing. */
  get endUs(): number | undefined {
    return this.#items.length > 0 ? this.#lastEndUs : undefined;
  }
}
