/** A stretch of decoded sound. */
export interface Chunk {
  /** Media time of its first sample, microseconds. */
  atUs: number;
  /** Media time that it covers, microseconds. It lasts shorter than that where play is fast. */
  lengthUs: number;
  /** How long it lasts, seconds. */
  seconds: number;
}

/** When to start a chunk, on the sound device's clock. */
export interface Place {
  startS: number;
  /** So much of its start is left out, seconds. */
  skipS: number;
  /** It goes on where the one before ends. */
  joins: boolean;
}

/** What follows within this in media time goes on without a seam, microseconds: the recording follows the clock of its host. */
const SEAM_US = 2_500;
/** Sound may be off by this before it is put right, which can be heard, seconds. */
const SLACK_S = 0.03;
/** A chunk handed over later than this before its time may come too late, seconds. */
const LEAST_LEAD_S = 0.005;
/** Chunks are not handed over earlier than this before their time, seconds: what is handed over plays, whatever happens. */
export const LEAD_S = 0.3;

/** Where the chunks go on the sound device's clock, so that they are heard when their picture is shown. */
export class Schedule {
  #endUs = Number.NaN;
  #endS = Number.NaN;

  /** What comes next has nothing to do with what came before. */
  clear(): void {
    this.#endUs = Number.NaN;
    this.#endS = Number.NaN;
  }

  /** Whether what has been handed over is heard at the wrong time. `baseS` is when media time 0 would be heard. */
  isOff(baseS: number, rate: number): boolean {
    return Math.abs(baseS + this.#endUs / 1e6 / rate - this.#endS) > SLACK_S;
  }

  /** Finds a chunk's place: `later` when it is not due yet, `gone` when its time is over. */
  place(chunk: Chunk, baseS: number, rate: number, nowS: number): Place | "later" | "gone" {
    const idealS = baseS + chunk.atUs / 1e6 / rate;
    const joins =
      Math.abs(chunk.atUs - this.#endUs) <= SEAM_US * rate && Math.abs(idealS - this.#endS) <= SLACK_S;
    let startS = joins ? this.#endS : idealS;
    if (startS > nowS + LEAD_S) return "later";
    // Neither into the past nor over what is handed over already.
    const earliestS = Math.max(nowS + LEAST_LEAD_S, joins ? 0 : this.#endS || 0);
    const skipS = Math.max(0, earliestS - startS);
    if (skipS >= chunk.seconds) return "gone";
    startS += skipS;
    this.#endUs = chunk.atUs + chunk.lengthUs;
    this.#endS = startS + chunk.seconds - skipS;
    return { startS, skipS, joins: joins && skipS === 0 };
  }
}
