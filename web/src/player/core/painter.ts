import type { Picture } from "./core";

/** Where pictures go. */
export interface Painter {
  paint(picture: Picture): void;
  /** Calls back when everything painted so far can be read from the page's canvas. */
  shown(then: () => void): void;
}

/** When no frame is asked for, as in a hidden tab, the picture is taken as shown after this time. */
const FRAME_PATIENCE_MS = 100;

/** Paints the changed rectangles, and nothing else, on a canvas that the page has handed over. */
export class CanvasPainter implements Painter {
  readonly #context: OffscreenCanvasRenderingContext2D;

  constructor(private readonly canvas: OffscreenCanvas) {
    const context = canvas.getContext("2d", { alpha: false });
    if (!context)
      throw new Error("this browser offers no 2D canvas in a worker; use a current version of it");
    this.#context = context;
  }

  paint({ width, height, resized, rects, rgba }: Picture): void {
    // No copy: the image is a window onto the core's memory.
    const image = new ImageData(rgba, width, height);
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

  shown(then: () => void): void {
    // The picture leaves the worker with the frame after next at the latest.
    nextFrame(() => nextFrame(then));
  }
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
