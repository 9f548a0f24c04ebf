/** Samples of one step of the output: 10 ms. */
const HOP = 480;
/** Pieces may be taken this much earlier or later than their due, to fit: 5 ms. */
const REACH = 240;
/** One in so many samples is looked at to see what fits. */
const COARSE = 4;

/**
 * Makes sound faster or slower without changing its pitch: takes pieces of the input at the wanted speed, each a little earlier or
 * later, so that it goes on where the one before left off, and fades from one to the next.
 */
export class Stretch {
  #input: Float32Array[] = [];
  /** Media time of the input's first sample, microseconds. */
  #atUs = 0;
  /** Where in the input the next piece is due, samples. */
  #due = 0;
  /** What would follow the last piece, for each channel: the next one is faded into it. */
  #tail: Float32Array[] | undefined;

  constructor(
    private readonly rate: number,
    private readonly sampleRate: number,
  ) {}

  /** Takes sound that follows what was taken before and gives what can be made of it: when it is from, and its samples. */
  push(atUs: number, channels: Float32Array[]): { atUs: number; channels: Float32Array[] } | undefined {
    if (this.#input.length !== channels.length) this.#input = channels.map(() => new Float32Array(0));
    if (this.#inputLength() === 0) this.#atUs = atUs;
    this.#input = this.#input.map((before, index) => joined(before, channels[index] as Float32Array));
    const fromUs = this.#atUs + (this.#due / this.sampleRate) * 1e6;
    const made = channels.map((): number[] => []);
    while (this.#due + REACH + HOP * 2 <= this.#inputLength()) this.#step(made);
    // The tail is kept apart, so what lies before the reach of the next piece is of no more use.
    const done = Math.max(0, Math.floor(this.#due) - REACH);
    this.#input = this.#input.map((samples) => samples.slice(done));
    this.#due -= done;
    this.#atUs += (done / this.sampleRate) * 1e6;
    if ((made[0]?.length ?? 0) === 0) return undefined;
    return { atUs: fromUs, channels: made.map((samples) => Float32Array.from(samples)) };
  }

  #step(made: number[][]): void {
    const from = this.#fitting();
    this.#input.forEach((samples, channel) => {
      const tail = this.#tail?.[channel];
      for (let at = 0; at < HOP; at += 1) {
        const fresh = samples[from + at] as number;
        const share = at / HOP;
        made[channel]?.push(tail ? fresh * share + (tail[at] as number) * (1 - share) : fresh);
      }
    });
    this.#tail = this.#input.map((samples) => samples.slice(from + HOP, from + HOP * 2));
    this.#due += HOP * this.rate;
  }

  /** Where near its due the piece begins that goes on best where the last one left off. */
  #fitting(): number {
    const due = Math.floor(this.#due);
    const tail = this.#tail?.[0];
    const samples = this.#input[0];
    if (!tail || !samples) return due;
    let best = due;
    let most = Number.NEGATIVE_INFINITY;
    for (let from = Math.max(0, due - REACH); from <= due + REACH; from += COARSE) {
      let product = 0;
      let energy = 1e-9;
      for (let at = 0; at < HOP; at += COARSE) {
        const sample = samples[from + at] as number;
        product += sample * (tail[at] as number);
        energy += sample * sample;
      }
      const likeness = product / Math.sqrt(energy);
      if (likeness > most) {
        most = likeness;
        best = from;
      }
    }
    return best;
  }

  #inputLength(): number {
    return this.#input[0]?.length ?? 0;
  }
}

function joined(first: Float32Array, second: Float32Array): Float32Array {
  const both = new Float32Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
