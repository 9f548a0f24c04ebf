import type { VideoTask } from "./core";

/** What the layer needs of the browser; tests put their own in. */
export interface VideoSurroundings {
  /** Undefined where the browser has no decoder. */
  decoder: ((output: (frame: VideoFrame) => void, error: (error: Error) => void) => VideoDecoder) | undefined;
  canvas: (width: number, height: number) => OffscreenCanvas;
}

/** More pictures than this on their way through the decoder, and play waits for them. */
const MOST_BACKLOG = 60;
/** Shown where there should be video and none can be. */
const NO_VIDEO = "#4a4a4a";

type Rect = readonly [x: number, y: number, width: number, height: number];

interface Stream {
  x: number;
  y: number;
  rects: Rect[];
}

interface Waiting {
  task: VideoTask;
  /** Of a picture: what the decoder calls it. */
  serial: number;
}

/**
 * The video below the lossless picture: feeds the browser's decoder, and keeps the picture that its streams have left, and the one
 * that key frames go back to.
 *
 * Tasks are done in order. Those that need no decoder wait for the pictures before them.
 */
export class VideoLayer {
  /** Why there is no video, or not all of it. */
  trouble: string | undefined;
  /** The browser cannot decode at all. */
  impossible: boolean;

  #decoder: VideoDecoder | undefined;
  #plane: OffscreenCanvas | undefined;
  #anchor: OffscreenCanvas | undefined;
  #stream: Stream | undefined;
  #waiting: Waiting[] = [];
  #serial = 0;
  /** Until the next stream nothing can be decoded. */
  #broken = false;
  #changed: Rect[] = [];
  #idle: (() => void)[] = [];

  constructor(private readonly around: VideoSurroundings = browser()) {
    this.impossible = around.decoder === undefined;
  }

  /** Pictures that were given to the decoder and have not come back. */
  get backlog(): number {
    return this.#waiting.length;
  }

  get isCrowded(): boolean {
    return this.backlog > MOST_BACKLOG;
  }

  /** The picture of the video so far; undefined while there was none. */
  get plane(): OffscreenCanvas | undefined {
    return this.#plane;
  }

  /** Where it has changed since last asked. */
  takeChanged(): Rect[] {
    const changed = this.#changed;
    this.#changed = [];
    return changed;
  }

  take(tasks: VideoTask[]): void {
    for (const task of tasks) {
      if (task.kind === "begin" || task.kind === "restore") this.#skip();
      const isPicture = task.kind === "start" || task.kind === "next";
      if (isPicture) this.#serial += 1;
      this.#waiting.push({ task, serial: isPicture ? this.#serial : 0 });
      if (isPicture && !this.#feed(task, this.#serial)) this.#waiting.pop();
    }
    this.#proceed();
  }

  /** Resolves when everything given so far is painted, or after `ms`. True in the first case. */
  settled(ms: number): Promise<boolean> {
    if (this.#waiting.length === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  close(): void {
    this.#waiting = [];
    if (this.#decoder && this.#decoder.state !== "closed") this.#decoder.close();
    this.#decoder = undefined;
  }

  /** What follows makes the pictures on their way superfluous, unless an anchor's are among them. */
  #skip(): void {
    const kept = this.#waiting.findLastIndex(({ task }) => task.kind === "save") + 1;
    if (kept > 0 || this.#waiting.length === 0) {
      // The decoder goes on with those; only what comes after them is of no use, and does no harm.
      return;
    }
    this.#waiting = [];
    if (this.#decoder?.state === "configured") this.#decoder.reset();
    this.#broken = true;
  }

  /** False when the picture cannot be decoded. */
  #feed(task: Extract<VideoTask, { kind: "start" | "next" }>, serial: number): boolean {
    if (!this.around.decoder) {
      this.trouble = "";
      // Where it would be is shown all the same.
      return task.kind === "start";
    }
    try {
      if (task.kind === "start") {
        const decoder = this.#ready(this.around.decoder);
        decoder.configure({ codec: codecOf(task.unit), optimizeForLatency: true });
        this.#broken = false;
      } else if (this.#broken) {
        return false;
      }
      const type = task.kind === "start" ? "key" : "delta";
      this.#decoder?.decode(new EncodedVideoChunk({ type, timestamp: serial, data: task.unit }));
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  #ready(make: NonNullable<VideoSurroundings["decoder"]>): VideoDecoder {
    if (this.#decoder && this.#decoder.state !== "closed") return this.#decoder;
    const decoder = make(
      (frame) => this.#output(frame),
      (error) => {
        // One that was replaced meanwhile has nothing to say any more.
        if (this.#decoder === decoder) this.#fail(error);
      },
    );
    this.#decoder = decoder;
    return decoder;
  }

  #fail(error: unknown): void {
    this.trouble = error instanceof Error ? error.message : String(error);
    this.#broken = true;
    this.#waiting = this.#waiting.filter(({ serial }) => serial === 0);
    this.#proceed();
  }

  #output(frame: VideoFrame): void {
    try {
      // Pictures that were given up are passed over.
      const at = this.#waiting.findIndex(({ serial }) => serial === frame.timestamp);
      if (at < 0) return;
      for (const { task } of this.#waiting.splice(0, at + 1)) {
        if (task.kind === "start" || task.kind === "next") this.#turnTo(task);
        else this.#do(task);
      }
      this.#draw((context, x, y) => context.drawImage(frame, x, y));
    } finally {
      // Each holds on to the decoder's memory.
      frame.close();
    }
    this.#proceed();
  }

  /** Does what needs no decoder, up to the next picture. */
  #proceed(): void {
    while (this.#waiting.length > 0) {
      const { task } = this.#waiting[0] as Waiting;
      const isPicture = task.kind === "start" || task.kind === "next";
      if (isPicture && this.around.decoder) return;
      this.#waiting.shift();
      if (!isPicture) this.#do(task);
      else if (task.kind === "start") {
        this.#turnTo(task);
        this.#draw((context, x, y) => {
          context.fillStyle = NO_VIDEO;
          context.fillRect(x, y, task.width, task.height);
        });
      }
    }
    const idle = this.#idle;
    this.#idle = [];
    for (const then of idle) then();
  }

  #do(task: VideoTask): void {
    if (task.kind === "begin") {
      this.#size = [task.width, task.height];
      this.#plane = undefined;
    } else if (task.kind === "save") {
      this.#anchor = this.#plane ? this.#copy(this.#plane, this.#anchor) : undefined;
    } else if (task.kind === "restore") {
      this.#plane = this.#anchor ? this.#copy(this.#anchor, this.#plane) : undefined;
    }
    if (task.kind !== "save") this.#changed = [[0, 0, ...this.#size]];
  }

  #size: [number, number] = [0, 0];

  #turnTo(task: Extract<VideoTask, { kind: "start" | "next" }>): void {
    if (task.kind === "start") this.#stream = { x: task.x, y: task.y, rects: task.rects ?? [] };
    else if (this.#stream && task.rects) this.#stream.rects = task.rects;
  }

  /** Draws the stream's newest picture where it is taken over. */
  #draw(paint: (context: OffscreenCanvasRenderingContext2D, x: number, y: number) => void): void {
    const stream = this.#stream;
    const [width, height] = this.#size;
    if (!stream || width === 0 || height === 0) return;
    this.#plane ??= this.around.canvas(width, height);
    const context = this.#plane.getContext("2d", { alpha: false });
    if (!context) return;
    context.save();
    context.beginPath();
    for (const [x, y, w, h] of stream.rects) {
      context.rect(stream.x + x, stream.y + y, w, h);
      this.#changed.push([stream.x + x, stream.y + y, w, h]);
    }
    context.clip();
    paint(context, stream.x, stream.y);
    context.restore();
  }

  #copy(from: OffscreenCanvas, onto: OffscreenCanvas | undefined): OffscreenCanvas {
    const fits = onto && onto.width === from.width && onto.height === from.height && onto !== from;
    const to = fits ? onto : this.around.canvas(from.width, from.height);
    to.getContext("2d", { alpha: false })?.drawImage(from, 0, 0);
    return to;
  }
}

/** The decoder's name for a stream, from the parameters at its start: `avc1.` and profile, constraints and level. */
export function codecOf(unit: Uint8Array): string {
  for (let at = 0; at + 6 < unit.length; at += 1) {
    const starts = unit[at] === 0 && unit[at + 1] === 0 && unit[at + 2] === 1;
    if (starts && ((unit[at + 3] as number) & 31) === 7) {
      const hex = [...unit.subarray(at + 4, at + 7)].map((byte) => byte.toString(16).padStart(2, "0"));
      return `avc1.${hex.join("")}`;
    }
  }
  throw new Error("the video does not begin with its parameters");
}

function browser(): VideoSurroundings {
  return {
    decoder:
      typeof VideoDecoder === "undefined"
        ? undefined
        : (output, error) => new VideoDecoder({ output, error }),
    canvas: (width, height) => new OffscreenCanvas(width, height),
  };
}
