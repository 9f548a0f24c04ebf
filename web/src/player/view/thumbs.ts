import type { PlayerController } from "./controller";

/** Pixels of the page. */
export const THUMB_WIDTH = 208;
/** The recording is cut into this many stretches; each keeps the picture seen in it first. Some 10 MB together. */
const STRETCHES = 100;
/** Pictures further away than this many stretches say nothing of a place. */
const NEAR = 2;
/** Often enough for play at high speed, seldom enough to cost nothing. */
const EVERY_MS = 400;

export interface Thumb {
  us: number;
  picture: ImageBitmap;
}

/** Small pictures of what the viewer has seen, kept for the seek bar. Nothing is fetched or decoded for them. */
export class Thumbs {
  readonly #kept = new Map<number, Thumb>();
  #durationUs = 0;
  #busy = false;

  constructor(private readonly player: PlayerController) {}

  /** Collects until the returned function is called, which drops all. */
  start(): () => void {
    const timer = setInterval(() => void this.#take(), EVERY_MS);
    return () => {
      clearInterval(timer);
      for (const thumb of this.#kept.values()) thumb.picture.close();
      this.#kept.clear();
    };
  }

  /** The picture seen nearest to a media time, when one is near enough. */
  near(us: number): Thumb | undefined {
    const at = stretchOf(us, this.#durationUs, STRETCHES);
    for (let apart = 0; apart <= NEAR; apart += 1) {
      const found = this.#kept.get(at - apart) ?? this.#kept.get(at + apart);
      if (found) return found;
    }
    return undefined;
  }

  async #take(): Promise<void> {
    const { snapshot, stage } = this.player;
    const { paintedUs: us, durationUs, width, height } = snapshot;
    if (this.#busy || us < 0 || width === 0 || height === 0 || document.hidden) return;
    this.#fit(durationUs);
    const at = stretchOf(us, this.#durationUs, STRETCHES);
    // Each look copies the whole canvas, so one for each stretch is enough.
    if (this.#kept.has(at)) return;
    this.#busy = true;
    try {
      const picture = await createImageBitmap(stage, {
        resizeWidth: THUMB_WIDTH,
        resizeHeight: Math.max(1, Math.round((THUMB_WIDTH * height) / width)),
        resizeQuality: "medium",
      });
      this.#kept.set(at, { us, picture });
    } catch {
      // The canvas has no picture at this moment; the next turn comes soon.
    } finally {
      this.#busy = false;
    }
  }

  /** A live recording grows: stretches grow with it, in steps, and what falls together keeps the later picture. */
  #fit(durationUs: number): void {
    if (durationUs <= this.#durationUs) return;
    const next = this.#durationUs === 0 ? durationUs : Math.max(durationUs, this.#durationUs * 1.5);
    this.#durationUs = next;
    const before = [...this.#kept.values()].sort((a, b) => a.us - b.us);
    this.#kept.clear();
    for (const thumb of before) {
      const at = stretchOf(thumb.us, next, STRETCHES);
      this.#kept.get(at)?.picture.close();
      this.#kept.set(at, thumb);
    }
  }
}

/** Which of a recording's stretches of equal length a media time lies in. */
export function stretchOf(us: number, durationUs: number, stretches: number): number {
  if (durationUs <= 0) return 0;
  return Math.min(stretches - 1, Math.max(0, Math.floor((us / durationUs) * stretches)));
}
