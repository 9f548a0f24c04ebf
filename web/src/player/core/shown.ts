import type { Surroundings } from "./surroundings";

/** What is painted on the canvas, and which of it has come to the screen. */
export class Shown {
  width = 0;
  height = 0;
  /** Pictures painted so far. */
  pictures = 0;
  /** Media time of the picture on the screen; negative while there is none. */
  paintedUs = -1;
  #serial = 0;
  #shownSerial = 0;
  #appliedUs = 0;

  constructor(
    private readonly around: Surroundings,
    /** A picture of this media time has come to the screen. */
    private readonly onShown: (atUs: number) => void,
  ) {}

  /** Whether anything was painted at all. */
  get started(): boolean {
    return this.#serial > 0;
  }

  /** Pictures painted and not yet on the screen. */
  get unshown(): number {
    return this.#serial - this.#shownSerial;
  }

  /** Whether the last picture painted was of this media time, if perhaps not yet shown. */
  isOf(atUs: number): boolean {
    return this.started && this.#appliedUs === atUs;
  }

  /** Paints what has changed; true when anything has. */
  paint(atUs: number): boolean {
    const { core, painter, video } = this.around;
    this.#appliedUs = atUs;
    const picture = core.takePicture();
    const moved = video?.takeChanged() ?? [];
    if (moved.length > 0) painter.paintVideo(moved, video?.plane);
    if (picture) {
      painter.paint(picture);
      this.width = picture.width;
      this.height = picture.height;
    }
    if (picture || (moved.length > 0 && this.started)) {
      this.pictures += 1;
      this.#serial += 1;
      const serial = this.#serial;
      this.paintedUs = Math.min(this.paintedUs, atUs);
      painter.shown(() => {
        if (serial < this.#shownSerial) return;
        this.#shownSerial = serial;
        this.paintedUs = serial === this.#serial ? this.#appliedUs : atUs;
        this.onShown(atUs);
      });
    } else if (this.unshown === 0 && this.started) {
      this.paintedUs = atUs;
    }
    const pointer = core.takePointer();
    if (pointer) this.around.report({ type: "pointer", ...pointer });
    return picture !== undefined || moved.length > 0;
  }
}
