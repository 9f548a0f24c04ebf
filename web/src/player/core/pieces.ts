/** Bytes asked for at a time. */
const PIECE = 128 * 1024;

/**
 * Reads a stream piece by piece into one buffer, where the browser's streams can do that: at high speed the pieces would
 * otherwise be tens of megabytes of garbage a second. A piece is void when the next is read.
 */
export class PieceReader {
  readonly #bytes: ReadableStreamBYOBReader | undefined;
  readonly #pieces: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #buffer = new ArrayBuffer(PIECE);

  constructor(stream: ReadableStream<Uint8Array>) {
    try {
      this.#bytes = stream.getReader({ mode: "byob" });
    } catch {
      this.#pieces = stream.getReader();
    }
  }

  /** The next piece; undefined at the end. */
  async read(): Promise<Uint8Array | undefined> {
    if (this.#pieces) return (await this.#pieces.read()).value;
    const { done, value } = (await this.#bytes?.read(new Uint8Array(this.#buffer))) ?? { done: true };
    if (value) this.#buffer = value.buffer as ArrayBuffer;
    return done ? undefined : value;
  }

  /** Gives the stream up; what is still to come is not wanted. */
  cancel(): void {
    const reader = this.#bytes ?? this.#pieces;
    reader?.cancel().catch(() => undefined);
  }
}
