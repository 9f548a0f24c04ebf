import type { Picture } from "./core";

/** Where pictures go. */
export interface Painter {
  paint(picture: Picture): void;
  /** Paints anew what is seen of the video, where it has changed. */
  paintVideo(changed: readonly VideoRect[], plane: OffscreenCanvas | undefined): void;
  /** Calls back when everything painted so far can be read from the page's canvas. */
  shown(then: () => void): void;
}

export type VideoRect = readonly [x: number, y: number, width: number, height: number];

/** More rectangles than this are painted as one around them all. */
const MOST_RECTS = 24;

/** When no frame is asked for, as in a hidden tab, the picture is taken as shown after this time. */
const FRAME_PATIENCE_MS = 100;

/** Paints the changed rectangles, and nothing else, on a canvas that the page has handed over. */
export class CanvasPainter implements Painter {
  readonly #context: OffscreenCanvasRenderingContext2D;
  /** The lossless picture, clear where the video is to be seen; gone while there is none. */
  #sharp: OffscreenCanvas | undefined;
  #plane: OffscreenCanvas | undefined;

  constructor(private readonly canvas: OffscreenCanvas) {
    const context = canvas.getContext("2d", { alpha: false });
    if (!context)
      throw new Error("this browser offers no 2D canvas in a worker; use a current version of it");
    this.#context = context;
  }

  paint({ width, height, resized, layered, rects, rgba }: Picture): void {
    // No copy: the image is a window onto the core's memory.
    const image = new ImageData(rgba, width, height);
    if (layered) {
      this.#paintLayered(image, resized, rects);
      return;
    }
    this.#sharp = undefined;
    if (resized || this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.#context.putImageData(image, 0, 0);
      return;
    }
    for (let at = 0; at + 3 < rects.length; at += 4) {
      this.#context.putImageData(
        image,
        0,
        0,
        rects[at] as number,
        rects[at + 1] as number,
        rects[at + 2] as number,
        rects[at + 3] as number,
      );
    }
  }

  paintVideo(changed: readonly VideoRect[], plane: OffscreenCanvas | undefined): void {
    this.#plane = plane;
    if (this.#sharp) this.#compose(changed);
  }

  /** Keeps the picture with its clear places apart, and puts it over the video. */
  #paintLayered(image: ImageData, resized: boolean, rects: Uint32Array): void {
    const { width, height } = image;
    const fits = !resized && this.#sharp?.width === width && this.#sharp.height === height;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    if (!fits) this.#sharp = new OffscreenCanvas(width, height);
    const sharp = this.#sharp?.getContext("2d");
    if (!sharp) return;
    const changed: VideoRect[] = fits ? [] : [[0, 0, width, height]];
    for (let at = 0; fits && at + 3 < rects.length; at += 4) {
      changed.push([...rects.subarray(at, at + 4)] as unknown as VideoRect);
    }
    for (const [x, y, w, h] of changed) sharp.putImageData(image, 0, 0, x, y, w, h);
    this.#compose(changed);
  }

  #compose(changed: readonly VideoRect[]): void {
    const sharp = this.#sharp;
    if (!sharp) return;
    const few = changed.length > MOST_RECTS ? [around(changed)] : changed;
    for (const [left, top, w, h] of few) {
      const width = Math.min(w, sharp.width - left);
      const height = Math.min(h, sharp.height - top);
      if (width <= 0 || height <= 0) continue;
      const place = [left, top, width, height, left, top, width, height] as const;
      if (this.#plane) {
        this.#context.drawImage(this.#plane, ...place);
      } else {
        this.#context.fillStyle = "#000";
        this.#context.fillRect(left, top, width, height);
      }
      this.#context.drawImage(sharp, ...place);
    }
  }

  shown(then: () => void): void {
    // The picture leaves the worker with the frame after next at the latest.
    nextFrame(() => nextFrame(then));
  }
}

function around(rects: readonly VideoRect[]): VideoRect {
  let [left, top, right, bottom] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0, 0];
  for (const [x, y, width, height] of rects) {
    left = Math.min(left, x);
    top = Math.min(top, y);
    right = Math.max(right, x + width);
    bottom = Math.max(bottom, y + height);
  }
  return [left, top, right - left, bottom - top];
}

function nextFrame(then: () => void): void {
  let done = false;
  const once = () => {
    if (done) return;
    done = true;
    clearTimeout(timer);
    then();
  };
  const timer = setTimeout(once, FRAME_PATIENCE_MS);
  if (typeof requestAnimationFrame === "function") requestAnimationFrame(once);
}
