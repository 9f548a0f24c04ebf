/** Sound is heard this much after the latest of it could have been, milliseconds. */
const MARGIN_MS = 60;
/** What has arrived within this time tells how late sound comes, milliseconds. */
const MEMORY_MS = 10_000;
/** Later than needed by this, it is brought forward, milliseconds: that can be heard. */
const IDLE_MS = 250;

/**
 * How long after it was heard on the host sound is heard here, at the live end. Pictures there are shown as they come, by fits and
 * starts; sound must not stutter, so it has a clock of its own, as close behind as it arrives.
 */
export class LiveDelay {
  #arrivals: { atMs: number; needMs: number }[] = [];
  /** Time at which media time 0 would be heard; undefined before the first sound. */
  zeroMs: number | undefined;

  /** Sound of a media time has arrived. */
  arrived(atUs: number, atMs: number): void {
    const needMs = atMs - atUs / 1000 + MARGIN_MS;
    this.#arrivals = this.#arrivals.filter((other) => atMs - other.atMs < MEMORY_MS);
    this.#arrivals.push({ atMs, needMs });
    const most = Math.max(...this.#arrivals.map((arrival) => arrival.needMs));
    if (this.zeroMs === undefined || this.zeroMs < most - MARGIN_MS / 2 || this.zeroMs > most + IDLE_MS) {
      this.zeroMs = most;
    }
  }

  clear(): void {
    this.#arrivals = [];
    this.zeroMs = undefined;
  }
}
