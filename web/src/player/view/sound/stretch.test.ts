import { describe, expect, it } from "vitest";
import { Stretch } from "./stretch";

const RATE = 48_000;

function tone(hertz: number, seconds: number): Float32Array {
  return Float32Array.from({ length: seconds * RATE }, (_, at) =>
    Math.sin((at / RATE) * hertz * 2 * Math.PI),
  );
}

/** Pushes sound in pieces of 20 ms and joins what comes out. */
function stretched(samples: Float32Array, rate: number) {
  const stretch = new Stretch(rate, RATE);
  const out: number[] = [];
  const times: { atUs: number; outS: number }[] = [];
  for (let at = 0; at < samples.length; at += 960) {
    const piece = samples.slice(at, at + 960);
    const made = stretch.push((at / RATE) * 1e6, [piece, piece]);
    if (!made) continue;
    times.push({ atUs: made.atUs, outS: out.length / RATE });
    out.push(...(made.channels[1] as Float32Array));
  }
  return { out, times };
}

const risings = (samples: ArrayLike<number>) =>
  Array.from(samples).filter((value, at) => at > 0 && value >= 0 && (samples[at - 1] as number) < 0).length;

describe("stretched sound", () => {
  it.each([0.5, 1.5, 2])("keeps its pitch at %s times the speed", (rate) => {
    const { out, times } = stretched(tone(440, 4), rate);
    const seconds = out.length / RATE;
    expect(Math.abs(seconds - 4 / rate)).toBeLessThan(0.1);
    expect(Math.abs(risings(out) / seconds - 440)).toBeLessThan(8);
    // Nothing jumps where pieces meet.
    const steps = out.map((value, at) => Math.abs(value - (out[at - 1] ?? value)));
    expect(steps.reduce((most, step) => Math.max(most, step), 0)).toBeLessThan(0.2);
    // What comes out says when it is from.
    for (const { atUs, outS } of times) expect(Math.abs(atUs / 1e6 / rate - outS)).toBeLessThan(0.001);
  });
});
