import { Decoding, type Outcome } from "./decoding";
import { Driver } from "./driver";
import { idleJump } from "./idle";
import { livePosition } from "./live-clock";
import type { Command, OpenRecording, Seek, Snapshot, Spans, Status, Trouble } from "./messages";
import { Shown } from "./shown";
import { SoundFeed } from "./sound-feed";
import type { Surroundings } from "./surroundings";

type Job =
  | { kind: "seek"; atUs: number; scrub: boolean; live: boolean }
  | { kind: "step"; direction: 1 | -1 };

const TICK_MS = 16;
/** A tick may decode for this long; what is left waits for the next. */
const TICK_BUDGET_MS = 24;
/** While seeking the worker looks for newer wishes this often. */
const SEEK_SLICE_MS = 12;
/** A drag's seek that takes longer than this gives way to where the pointer is now. */
const SCRUB_PATIENCE_MS = 300;
/** Waiting shorter than this is not worth telling. */
const QUIET_MS = 150;
const REPORT_EVERY_MS = 33;
/** Steps by which single pictures are looked for; the agent makes at most 30 a second. */
const PICTURE_STEP_US = 16_000;
const STEP_WINDOW_US = 2_000_000;
/** Forward by no more than this, decoding what lies ready is quicker than beginning at another key frame. */
const NEAR_US = 15_000_000;
const NEAR_BYTES = 512 * 1024;
const MOST_SEEKS = 200;
/** Pictures painted and not yet on the screen, while playing. */
const MOST_UNSHOWN = 2;
/** A delay beyond this means that the clocks of host and viewer disagree. */
const LONGEST_DELAY_MS = 60_000;
/** The video's decoder works beside the worker: while playing, a picture waits for its video this long at most, */
const VIDEO_PATIENCE_MS = 40;
/** and after a seek this long. */
const VIDEO_SEEK_PATIENCE_MS = 1000;

/**
 * Plays one recording: keeps the media clock, decodes up to it, paints, and tells how things stand.
 *
 * One loop does all of it, so no two things ever happen to the core at once.
 */
export class Engine {
  readonly #driver: Driver;
  readonly #decoding: Decoding;
  readonly #sound: SoundFeed;
  readonly #shown: Shown;
  #playing: boolean;
  #following = false;
  #rate: number;
  #skipIdle: boolean;
  #idle: Spans = [];
  #durationUs: number;
  #positionUs = 0;
  #closed = false;
  #job: Job | undefined;
  /** A seek that was refused, for when it is tried again. */
  #failedJob: Job | undefined;
  #working: { since: number } | undefined;
  #stalledSince: number | undefined;
  #ended = false;
  #outside: Trouble | undefined;
  #wake: (() => void) | undefined;
  #lastTick = 0;
  #lastReport = 0;
  /** Times of pictures found one by one, for stepping back. */
  #pictureTimes: number[] = [];
  #decodeMs = 0;
  /** Spent decoding since the last seek began. */
  #decodingMs = 0;
  #delayMs: number | undefined;
  #seeks: Seek[] = [];

  constructor(
    private readonly around: Surroundings,
    private readonly recording: OpenRecording,
  ) {
    this.#driver = new Driver(
      around.source,
      () => this.#wake?.(),
      () => around.report({ type: "stream-ended" }),
      recording.live,
      around.limits,
    );
    this.#decoding = new Decoding(around.core, this.#driver, around.now);
    this.#sound = new SoundFeed(around.core, (sound, transfer) =>
      around.report({ type: "sound", sound: { ...sound, atMs: this.#sharedMs(around.now()) } }, transfer),
    );
    this.#shown = new Shown(around, (atUs) => {
      this.#delayMs = this.#measureDelay(atUs);
      this.#tell(true);
    });
    this.#playing = recording.play;
    this.#rate = recording.rate;
    this.#skipIdle = recording.skipIdle;
    this.#durationUs = recording.durationUs;
    const live = recording.live && recording.atUs === undefined;
    this.#job = {
      kind: "seek",
      atUs: live ? recording.durationUs : (recording.atUs ?? 0),
      scrub: false,
      live,
    };
  }

  /** Runs until the engine is closed. */
  async run(): Promise<void> {
    while (!this.#closed) {
      const job = this.#job;
      if (job) {
        this.#job = undefined;
        this.#working = { since: this.around.now() };
        if (job.kind === "seek") await this.#seek(job);
        else await this.#step(job.direction);
        this.#working = undefined;
        this.#lastTick = this.around.now();
        this.#tell(true);
      } else if (this.#playing) {
        await this.#tick();
        await this.#sleep(TICK_MS);
      } else {
        // Play may have stopped while a picture was held back.
        if (this.#shown.started) this.#shown.paint(this.#positionUs);
        this.#tell(true);
        await this.#sleep(undefined);
      }
    }
  }

  command(command: Command): void {
    switch (command.type) {
      case "update":
        this.#driver.live = command.live;
        this.#durationUs = Math.max(command.durationUs, this.#durationUs);
        if (!command.live) {
          this.#following = false;
          this.#durationUs = command.durationUs;
        }
        break;
      case "idle":
        this.#idle = command.spans;
        break;
      case "play":
        if (this.#ended) this.#job = { kind: "seek", atUs: 0, scrub: false, live: false };
        this.#playing = true;
        this.#lastTick = this.around.now();
        break;
      case "pause":
        this.#playing = false;
        this.#following = false;
        break;
      case "seek":
        this.#following = false;
        this.#job = { kind: "seek", atUs: command.atUs, scrub: command.scrub, live: false };
        break;
      case "live":
        this.#durationUs = Math.max(command.durationUs, this.#durationUs);
        this.#rate = 1;
        this.#playing = true;
        this.#job = { kind: "seek", atUs: command.durationUs, scrub: false, live: true };
        break;
      case "rate":
        this.#rate = command.rate;
        if (command.rate < 1) this.#following = false;
        break;
      case "skip-idle":
        this.#skipIdle = command.on;
        break;
      case "sound":
        this.#sound.on = command.on;
        break;
      case "step":
        this.#playing = false;
        this.#following = false;
        this.#job = { kind: "step", direction: command.direction };
        break;
      case "retry":
        if (this.#failedJob && this.#driver.state === "failed") this.#job = this.#failedJob;
        else this.#driver.retry();
        break;
      case "close":
        this.#closed = true;
        this.#driver.close();
        this.around.video?.close();
        break;
      case "open":
        break;
    }
    this.#wake?.();
  }

  // --- playing

  async #tick(): Promise<void> {
    // What the decoder has not shown yet must not pile up.
    if (this.around.video?.isCrowded) {
      await this.around.video.settled(VIDEO_PATIENCE_MS);
      this.#lastTick = this.around.now();
    }
    const now = this.around.now();
    // After a sleep of the machine the clock goes on where it was.
    const passedUs = Math.min(now - this.#lastTick, 250) * 1000;
    this.#lastTick = now;
    if (this.#ended && !this.#driver.live) {
      this.#playing = false;
      this.#tell(true);
      return;
    }
    const target = this.#following ? this.#livePosition(passedUs) : this.#nextPosition(passedUs);
    const outcome = this.#advance(target, TICK_BUDGET_MS);
    this.#decodeMs = this.around.now() - now;
    if (outcome === "reached") {
      this.#positionUs = target;
      this.#stalledSince = undefined;
    } else {
      this.#positionUs = Math.max(this.#positionUs, Math.min(target, this.#decoding.reachedUs));
      if (outcome === "hungry") this.#hungry(target, now);
    }
    if (this.#decoding.finished && !this.#driver.live && this.#driver.state !== "ended")
      this.#driver.finish();
    if (!this.#driver.live && this.#positionUs >= this.#durationUs && this.#driver.state === "ended") {
      this.#ended = true;
      this.#playing = false;
    }
    await this.#videoSettled(VIDEO_PATIENCE_MS);
    // A browser that is slow to show pictures would pile them up, eight megabytes each.
    if (this.#shown.unshown < MOST_UNSHOWN || this.#ended) this.#shown.paint(this.#positionUs);
    this.#driver.pump(this.#positionUs, this.#rate, this.#durationUs);
    this.#sound.pump(this.#positionUs, this.#rate, this.#decoding.record, this.#driver.queue);
    this.#tell(!this.#playing);
  }

  #livePosition(passedUs: number): number {
    return livePosition(this.#positionUs, passedUs, this.#edgeUs(), this.#decoding.fragmentUs);
  }

  #nextPosition(passedUs: number): number {
    const next = this.#positionUs + passedUs * this.#rate;
    const target = this.#driver.live
      ? next
      : Math.min(next, Math.max(this.#durationUs, this.#decoding.endUs));
    const jump = this.#skipIdle ? idleJump(this.#idle, target) : undefined;
    if (jump === undefined) return target;
    this.around.report({ type: "skipped", fromUs: this.#positionUs, toUs: jump });
    this.#sound.begin();
    this.#positionUs = jump;
    return jump;
  }

  #hungry(target: number, now: number): void {
    if (!this.#driver.live && this.#driver.state === "ended") {
      // Nothing more happens, but the recording goes on being still until its end.
      this.#positionUs = target;
      this.#stalledSince = undefined;
    } else if (this.#driver.live && this.#rate >= 1 && this.#atEdge()) {
      this.#following = true;
      this.#rate = 1;
      this.#stalledSince = undefined;
    } else {
      this.#stalledSince ??= now;
    }
  }

  /** All that has arrived is shown, and the stream is open for more. */
  #atEdge(): boolean {
    return (
      this.#driver.live &&
      this.#driver.state === "reading" &&
      this.#driver.queue.length === 0 &&
      this.#decoding.endUs >= this.#durationUs - 2_000_000
    );
  }

  #edgeUs(): number {
    return this.#driver.queue.endUs ?? this.#decoding.endUs;
  }

  // --- seeking

  async #seek(job: { atUs: number; scrub: boolean; live: boolean }): Promise<void> {
    this.#failedJob = undefined;
    const started = this.around.now();
    const received = this.#driver.received;
    this.#decodingMs = 0;
    this.#ended = false;
    this.#outside = undefined;
    this.#stalledSince = undefined;
    let target = Math.max(0, Math.floor(job.atUs));
    if (!job.live) {
      const end = this.#driver.live ? Math.max(this.#durationUs, this.#edgeUs()) : this.#durationUs;
      if (!(job.atUs >= 0 && job.atUs <= end))
        this.#outside = { kind: "outside", detail: "", atUs: job.atUs };
      target = Number.isFinite(target) ? Math.min(target, end) : 0;
    }
    if (!job.live && target === this.#positionUs && this.#shows(target)) return;
    this.#sound.begin();
    if (!this.#nearAhead(target, job.live)) this.#open(target, job.live);
    if (!(await this.#decodeTo(target, job, started))) return;
    if (job.live) target = Math.max(target, this.#decoding.reachedUs);
    await this.#videoSettled(VIDEO_SEEK_PATIENCE_MS);
    this.#driver.settle();
    this.#positionUs = target;
    this.#following = job.live && this.#driver.live;
    const decoded = this.around.now();
    this.#shown.paint(target);
    const painted = this.around.now();
    this.#seeks.push({
      at_us: target,
      ms: painted - started,
      decode_ms: this.#decodingMs,
      paint_ms: painted - decoded,
      bytes: this.#driver.received - received,
    });
    if (this.#seeks.length > MOST_SEEKS) this.#seeks.shift();
    // A paused viewer gets no more than the picture asked for.
    if (this.#playing) this.#driver.pump(this.#positionUs, this.#rate, this.#durationUs);
  }

  /** Whether the picture of this media time is painted, if perhaps not yet shown. */
  #shows(target: number): boolean {
    return this.#shown.isOf(target) && this.#decoding.reachedUs === target;
  }

  /** Whether going on from here is enough: nothing to fetch, little to decode. */
  #nearAhead(target: number, live: boolean): boolean {
    if (this.#shown.paintedUs < 0 || target < this.#positionUs) return false;
    const state = this.#driver.state;
    if (live)
      return state === "reading" && this.#driver.queue.bytes < 1024 * 1024 && this.#edgeUs() >= target;
    const end = this.#driver.queue.endUs ?? this.#decoding.endUs;
    const little = target - this.#positionUs < NEAR_US || this.#driver.queue.bytes < NEAR_BYTES;
    // What happens at the very end of what is here may stand in the fragment after it.
    return target < end && little;
  }

  #open(target: number, live: boolean): void {
    const anchor = this.#decoding.anchorFor(target);
    this.#decoding.restart(anchor);
    this.#driver.open({
      atUs: target,
      anchorSeq: anchor?.seq ?? this.around.core.anchorSeq(),
      ...(live && this.#driver.live ? { follow: true } : { untilUs: target }),
    });
  }

  /** Decodes up to a media time, waiting for what is missing. False when something else is wanted by now. */
  async #decodeTo(target: number, job: { scrub: boolean; live: boolean }, started: number): Promise<boolean> {
    let restarts = this.#driver.restarts;
    let beyondUs = 5_000_000;
    for (;;) {
      if (this.#closed) return false;
      if (this.#job && !(job.scrub && this.around.now() - started < SCRUB_PATIENCE_MS)) return false;
      if (this.#driver.restarts !== restarts) {
        restarts = this.#driver.restarts;
        this.#decoding.restart(this.#decoding.anchorFor(target));
      }
      const outcome = this.#advance(target, SEEK_SLICE_MS);
      // At time 0 there may be no picture yet: the first one is what was asked for.
      if (outcome === "reached" && this.#decoding.started && !this.#moreOfThisMoment(target, job.live))
        return true;
      if (outcome === "busy") {
        await immediate();
        continue;
      }
      const state = this.#driver.state;
      if (this.#driver.queue.length > 0) {
        const next = this.#driver.queue.peek();
        if (next && next.startUs > target && !this.#decoding.started) {
          target = next.endUs;
          continue;
        }
      }
      if (state === "idle" || state === "ended") {
        if (this.#decoding.started || this.#decoding.troubles.length === 0) return true;
        // All that came was damaged: look further on for the next key frame.
        const further = this.#decoding.endUs + beyondUs;
        if (further > this.#durationUs) return true;
        beyondUs *= 2;
        target = further;
        this.#open(target, job.live);
        continue;
      }
      if (state === "failed") {
        this.#failedJob = { kind: "seek", atUs: target, scrub: false, live: job.live };
        this.#playing = false;
        return false;
      }
      this.#tell(false);
      await this.#sleep(QUIET_MS);
    }
  }

  /** Whether the next fragment, which may begin at this very moment, is still on its way. */
  #moreOfThisMoment(target: number, live: boolean): boolean {
    const { state, queue } = this.#driver;
    return !live && state === "reading" && queue.length === 0 && this.#decoding.endUs <= target;
  }

  // --- single pictures

  async #step(direction: 1 | -1): Promise<void> {
    if (direction === 1) {
      const found = await this.#nextPicture(Number.POSITIVE_INFINITY);
      if (found !== undefined) this.#positionUs = found;
      return;
    }
    const here = this.#positionUs;
    let before = this.#pictureBefore(here);
    if (before === undefined) {
      await this.#collectPictures(here);
      if (this.#job || this.#closed) return;
      before = this.#pictureBefore(here) ?? Math.max(0, here - STEP_WINDOW_US);
    }
    await this.#seek({ atUs: before, scrub: false, live: false });
  }

  /** The picture before the one that is shown. */
  #pictureBefore(here: number): number | undefined {
    let shown = -1;
    for (let at = this.#pictureTimes.length - 1; at >= 0; at -= 1) {
      const time = this.#pictureTimes[at] as number;
      if (time > here) continue;
      if (here - time > STEP_WINDOW_US) return undefined;
      if (shown >= 0) return time;
      shown = time;
    }
    return undefined;
  }

  /** Goes through the last seconds before a media time and notes when pictures came. */
  async #collectPictures(here: number): Promise<void> {
    const from = Math.max(0, here - STEP_WINDOW_US);
    this.#pictureTimes = from === 0 ? [0] : [];
    await this.#seek({ atUs: from, scrub: false, live: false });
    while (!this.#job && !this.#closed) {
      const found = await this.#nextPicture(here);
      if (found === undefined) return;
      this.#positionUs = found;
    }
  }

  /** Goes on to the next change of the picture, at most to `limit`, and paints it. */
  async #nextPicture(limit: number): Promise<number | undefined> {
    const started = this.around.now();
    let at = this.#positionUs;
    while (!this.#job && !this.#closed && at < limit) {
      const next = this.#driver.queue.peek();
      at += PICTURE_STEP_US;
      // Over a stretch without any fragment in one stride.
      if (next && this.#decoding.endUs < at && next.startUs > at) at = next.startUs;
      const outcome = this.#advance(Math.min(at, limit), SEEK_SLICE_MS);
      await this.#videoSettled(VIDEO_SEEK_PATIENCE_MS);
      if (this.#shown.paint(Math.min(at, limit))) {
        const time = Math.min(at, limit);
        this.#pictureTimes.push(time);
        if (this.#pictureTimes.length > 1000) this.#pictureTimes.shift();
        return time;
      }
      if (outcome !== "hungry") continue;
      at -= PICTURE_STEP_US;
      if (this.#decoding.finished || this.#driver.state === "ended" || this.#driver.state === "failed")
        return undefined;
      if (this.#driver.live && this.around.now() - started > 2000) return undefined;
      this.#driver.pump(this.#positionUs, 1, this.#durationUs);
      await this.#sleep(QUIET_MS);
    }
    return undefined;
  }

  // --- decoding

  #advance(untilUs: number, budgetMs: number): Outcome {
    const started = this.around.now();
    const outcome = this.#decoding.advance(untilUs, budgetMs);
    this.#decodingMs += this.around.now() - started;
    this.around.video?.take(this.around.core.takeVideo());
    return outcome;
  }

  /** Waits until the video is where the picture is. */
  async #videoSettled(ms: number): Promise<void> {
    const { video } = this.around;
    // A promise that is fulfilled already takes a turn, too.
    if (video && video.backlog > 0) await video.settled(ms);
  }

  // --- telling

  #status(now: number): Status {
    if (this.#driver.state === "failed" && !this.#canGoOn()) return "failed";
    if (!this.#shown.started) return this.#driver.state === "ended" && !this.#working ? "ended" : "loading";
    if (this.#working && now - this.#working.since >= QUIET_MS) return "seeking";
    if (this.#ended) return "ended";
    if (!this.#playing) return "paused";
    return this.#stalledSince !== undefined && now - this.#stalledSince > QUIET_MS ? "buffering" : "playing";
  }

  #canGoOn(): boolean {
    return this.#driver.queue.length > 0 || (this.#shown.paintedUs >= 0 && !this.#playing && !this.#working);
  }

  #tell(always: boolean): void {
    const now = this.around.now();
    if (!always && now - this.#lastReport < REPORT_EVERY_MS) return;
    this.#lastReport = now;
    const troubles = [...this.#decoding.troubles];
    if (this.#outside) troubles.push(this.#outside);
    const { video } = this.around;
    if (video?.trouble !== undefined) {
      troubles.push({ kind: video.impossible ? "no-video" : "video", detail: video.trouble });
    }
    if (this.#driver.trouble) troubles.push(this.#driver.trouble);
    const snapshot: Snapshot = {
      status: this.#status(now),
      positionUs: Math.round(this.#positionUs),
      paintedUs: Math.round(this.#shown.paintedUs),
      bufferedUs: Math.max(this.#edgeUs(), Math.round(this.#positionUs)),
      bufferBytes: this.#driver.queue.bytes,
      durationUs: Math.max(this.#durationUs, this.#driver.live ? this.#edgeUs() : 0),
      live: this.#driver.live,
      following: this.#following,
      delayMs: this.#following ? this.#delayMs : undefined,
      rate: this.#rate,
      skipIdle: this.#skipIdle,
      width: this.#shown.width,
      height: this.#shown.height,
      pictures: this.#shown.pictures,
      bytes: this.#driver.received,
      fragments: this.#decoding.fragments,
      decodeMs: this.#decodeMs,
      memoryBytes: this.around.core.memoryBytes(),
      chainOk: this.around.core.chainOk(),
      sound: this.around.core.hasSound(),
      atMs: this.#sharedMs(this.#lastTick),
      troubles,
      seeks: this.#seeks,
    };
    this.around.report({ type: "snapshot", snapshot });
  }

  /** How long ago a new picture was on the host's screen, by the two wall clocks. */
  #measureDelay(atUs: number): number | undefined {
    if (!this.#following) return undefined;
    const delay = this.around.wall() - (this.recording.startedAtUs + atUs) / 1000;
    return delay >= 0 && delay < LONGEST_DELAY_MS ? Math.round(delay) : undefined;
  }

  #sharedMs(now: number): number {
    return now + (this.around.originMs ?? 0);
  }

  /** Sleeps until woken, at most `ms`. */
  #sleep(ms: number | undefined): Promise<void> {
    if (this.#job || this.#closed) return immediate();
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(() => this.#wake?.(), ms);
      this.#wake = () => {
        this.#wake = undefined;
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Lets messages that have arrived be handled. Browsers make timers that set timers wait for milliseconds; messages do not wait. */
function immediate(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
