import type { Snapshot, SoundPiece } from "../../core/messages";
import { FASTEST_WITH_SOUND } from "../../core/sound-feed";
import { LiveDelay } from "./live-delay";
import { type Chunk, Schedule } from "./schedule";
import { Stretch } from "./stretch";

/** How sound stands, for the page. */
export interface SoundState {
  /** The recording has sound. */
  there: boolean;
  /** This browser can decode it. */
  able: boolean;
  muted: boolean;
  /** 0 to 1. */
  volume: number;
  /** The browser lets nothing be heard before somebody touches the page. */
  blocked: boolean;
}

/** Sound that was handed to the device: media time, and when it is heard, milliseconds of `performance.now()`. */
export interface Scheduled {
  at_us: number;
  length_us: number;
  heard_ms: number;
}

interface Decoded extends Chunk {
  channels: Float32Array[];
}

const SAMPLE_RATE = 48_000;
/** A change of loudness takes this long, seconds: a sudden one clicks. */
const FADE_S = 0.008;
/** Chunks that were heard are kept for this long, microseconds, and those to come only so far ahead. */
const KEEP_US = 1_000_000;
const MOST_CHUNKS = 2_000;
/** A picture is seen about so long after its time: it waits for a tick of the worker, and two frames of the browser, milliseconds. */
const PICTURE_LAG_MS = 30;
const MOST_SCHEDULED = 400;

/** Plays sound in step with the picture. Everything that the browser might refuse is made when there is sound to play. */
export class SoundPlayer {
  state: SoundState;
  /** What was handed to the device last. */
  readonly scheduled: Scheduled[] = [];

  #context: AudioContext | undefined;
  #volume: GainNode | undefined;
  #decoder: AudioDecoder | undefined;
  /** Media times of packets that are being decoded. The decoder's own times know no silence. */
  #decoding: number[] = [];
  /** What is being heard, and the nodes that play it. */
  #playing: { gain: GainNode; nodes: Set<AudioBufferSourceNode> } | undefined;
  #run = -1;
  #rate = 1;
  #stretch: Stretch | undefined;
  #stretchEndUs = Number.NaN;
  #chunks: Decoded[] = [];
  /** The first chunk that was not handed over. */
  #next = 0;
  readonly #schedule = new Schedule();
  readonly #live = new LiveDelay();
  #snapshot: Snapshot | undefined;
  #closed = false;

  constructor(
    muted: boolean,
    volume: number,
    /** Sound is wanted, or not any more. */
    private readonly onWanted: (on: boolean) => void,
    private readonly onChange: () => void,
  ) {
    this.state = { there: false, able: typeof AudioDecoder === "function", muted, volume, blocked: false };
  }

  /** How play stands. Call it with every snapshot. */
  snapshot(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    if (snapshot.sound && !this.state.there && this.state.able) this.#open();
    if (!this.#context) return;
    if (snapshot.rate !== this.#rate) this.#restart(snapshot.rate);
    this.#pump(snapshot);
  }

  /** Sound has come from the worker. */
  take(piece: SoundPiece): void {
    const { run, packets, atMs } = piece;
    if (run !== this.#run) {
      this.#run = run;
      this.#restart(this.#snapshot?.rate ?? 1);
    }
    const first = packets[0];
    if (!first) return;
    this.#live.arrived(first.atUs, atMs);
    for (const packet of packets) {
      if (this.#decoder?.state !== "configured") this.#configure(packet.channels);
      this.#decoding.push(packet.atUs);
      this.#decoder?.decode(
        new EncodedAudioChunk({ type: "key", timestamp: Math.round(packet.atUs), data: packet.bytes }),
      );
    }
  }

  setMuted(muted: boolean): void {
    this.#change({ muted });
    this.#want();
  }

  setVolume(volume: number): void {
    this.#change({ volume: Math.min(1, Math.max(0, volume)) });
    this.#loudness();
  }

  close(): void {
    this.#closed = true;
    this.#unblock.abort();
    this.#silence();
    if (this.#decoder && this.#decoder.state !== "closed") this.#decoder.close();
    void this.#context?.close();
    this.#context = undefined;
  }

  // --- opening

  readonly #unblock = new AbortController();

  #open(): void {
    this.#context = new AudioContext({ sampleRate: SAMPLE_RATE, latencyHint: "interactive" });
    this.#volume = this.#context.createGain();
    this.#volume.connect(this.#context.destination);
    this.#change({ there: true });
    this.#loudness();
    this.#context.onstatechange = () => this.#look();
    // The first touch of the page makes it heard.
    const touched = () => {
      if (!this.state.muted) void this.#context?.resume().catch(() => undefined);
    };
    for (const kind of ["pointerdown", "keydown"] as const) {
      window.addEventListener(kind, touched, { signal: this.#unblock.signal, capture: true });
    }
    this.#want();
  }

  #want(): void {
    const on = this.state.there && !this.state.muted;
    this.onWanted(on);
    if (on) void this.#context?.resume().catch(() => undefined);
    else {
      this.#silence();
      void this.#context?.suspend().catch(() => undefined);
    }
    this.#look();
  }

  #look(): void {
    if (this.#closed) return;
    this.#change({ blocked: this.state.there && !this.state.muted && this.#context?.state !== "running" });
  }

  #loudness(): void {
    // Loudness is heard by powers: half the way is to sound half as loud.
    const { volume } = this.state;
    if (this.#context) this.#volume?.gain.setTargetAtTime(volume * volume, this.#context.currentTime, FADE_S);
  }

  #change(change: Partial<SoundState>): void {
    const before = this.state;
    this.state = { ...before, ...change };
    const keys = Object.keys(change) as (keyof SoundState)[];
    if (keys.some((key) => before[key] !== this.state[key])) this.onChange();
  }

  // --- decoding

  #configure(channels: number): void {
    const run = this.#run;
    if (this.#decoder && this.#decoder.state !== "closed") this.#decoder.close();
    this.#decoding = [];
    this.#decoder = new AudioDecoder({
      output: (data) => {
        if (run === this.#run) this.#decoded(data, this.#decoding.shift() ?? Number.NaN);
        data.close();
      },
      // The next packet makes another one; what is missing is silence.
      error: () => undefined,
    });
    this.#decoder.configure({ codec: "opus", sampleRate: SAMPLE_RATE, numberOfChannels: channels });
  }

  #decoded(data: AudioData, atUs: number): void {
    const channels = Array.from({ length: data.numberOfChannels }, (_, planeIndex) => {
      const samples = new Float32Array(data.numberOfFrames);
      data.copyTo(samples, { planeIndex, format: "f32-planar" });
      return samples;
    });
    const lengthUs = (data.numberOfFrames / data.sampleRate) * 1e6;
    if (this.#rate === 1) {
      this.#add({ atUs, lengthUs, seconds: lengthUs / 1e6, channels });
      return;
    }
    if (!(Math.abs(atUs - this.#stretchEndUs) < 10_000)) {
      this.#stretch = new Stretch(this.#rate, data.sampleRate);
    }
    this.#stretchEndUs = atUs + lengthUs;
    const made = this.#stretch?.push(atUs, channels);
    if (!made) return;
    const seconds = (made.channels[0]?.length ?? 0) / data.sampleRate;
    this.#add({ atUs: made.atUs, lengthUs: seconds * 1e6 * this.#rate, seconds, channels: made.channels });
  }

  #add(chunk: Decoded): void {
    this.#chunks.push(chunk);
    if (this.#chunks.length > MOST_CHUNKS) {
      this.#chunks.shift();
      this.#next = Math.max(0, this.#next - 1);
    }
  }

  // --- playing

  /** Everything that came so far is of no use any more. */
  #restart(rate: number): void {
    this.#rate = rate;
    this.#silence();
    this.#chunks = [];
    this.#next = 0;
    this.#stretch = undefined;
    this.#live.clear();
    if (this.#decoder && this.#decoder.state !== "closed") this.#decoder.close();
  }

  /** Stops what is being heard, without a click. What it was can be heard again. */
  #silence(): void {
    const playing = this.#playing;
    const context = this.#context;
    this.#playing = undefined;
    this.#schedule.clear();
    this.#next = 0;
    if (!playing || !context) return;
    const now = context.currentTime;
    playing.gain.gain.cancelScheduledValues(now);
    playing.gain.gain.setTargetAtTime(0, now, FADE_S / 3);
    for (const node of playing.nodes) node.stop(now + FADE_S * 2);
    while ((this.scheduled.at(-1)?.heard_ms ?? 0) > performance.now()) this.scheduled.pop();
  }

  #pump(snapshot: Snapshot): void {
    const context = this.#context;
    if (!context) return;
    const { status, rate, following } = snapshot;
    const heard = status === "playing" && rate <= FASTEST_WITH_SOUND && !this.state.muted;
    if (!heard || context.state !== "running") {
      if (this.#playing) this.#silence();
      return;
    }
    const deviceMs = deviceTime(context);
    // When media time 0 would be heard, on the page's clock and on the device's.
    const zeroMs =
      following && this.#live.zeroMs !== undefined
        ? this.#live.zeroMs
        : snapshot.atMs - snapshot.positionUs / 1000 / rate + PICTURE_LAG_MS;
    const zeroS = deviceMs(zeroMs - performance.timeOrigin);
    if (this.#playing && this.#schedule.isOff(zeroS, rate)) this.#silence();
    const nowS = context.currentTime;
    const positionUs = (nowS - zeroS) * 1e6 * rate;
    this.#forget(positionUs);
    for (; this.#next < this.#chunks.length; this.#next += 1) {
      const chunk = this.#chunks[this.#next] as Decoded;
      const place = this.#schedule.place(chunk, zeroS, rate, nowS);
      if (place === "later") break;
      if (place === "gone") continue;
      this.#start(context, chunk, place.startS, place.skipS, place.joins);
      const heardMs = performance.now() + (place.startS - deviceMs(performance.now())) * 1000;
      const skippedUs = place.skipS * 1e6 * rate;
      this.scheduled.push({
        at_us: chunk.atUs + skippedUs,
        length_us: chunk.lengthUs - skippedUs,
        heard_ms: heardMs,
      });
      if (this.scheduled.length > MOST_SCHEDULED) this.scheduled.shift();
    }
  }

  #start(context: AudioContext, chunk: Decoded, startS: number, skipS: number, joins: boolean): void {
    // On whole samples, or the browser would put values between them, and seams could be heard.
    const at = Math.round(startS * context.sampleRate) / context.sampleRate;
    if (!this.#playing) {
      const gain = context.createGain();
      gain.connect(this.#volume as GainNode);
      this.#playing = { gain, nodes: new Set() };
    }
    const { gain, nodes } = this.#playing;
    if (!joins) {
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(1, at + FADE_S);
    }
    const frames = chunk.channels[0]?.length ?? 0;
    const buffer = context.createBuffer(chunk.channels.length, frames, SAMPLE_RATE);
    chunk.channels.forEach((samples, index) => {
      buffer.copyToChannel(samples as Float32Array<ArrayBuffer>, index);
    });
    const node = context.createBufferSource();
    node.buffer = buffer;
    node.connect(gain);
    node.onended = () => {
      nodes.delete(node);
      node.disconnect();
      if (nodes.size === 0 && this.#playing?.gain !== gain) gain.disconnect();
    };
    nodes.add(node);
    node.start(at, skipS);
  }

  #forget(positionUs: number): void {
    let gone = 0;
    for (const chunk of this.#chunks) {
      if (chunk.atUs + chunk.lengthUs > positionUs - KEEP_US) break;
      gone += 1;
    }
    if (gone === 0) return;
    this.#chunks.splice(0, gone);
    this.#next = Math.max(0, this.#next - gone);
  }
}

/** Turns `performance.now()` into the device's time, in seconds: what is started then is heard at that moment. */
function deviceTime(context: AudioContext): (pageMs: number) => number {
  const { contextTime = 0, performanceTime = 0 } = context.getOutputTimestamp();
  if (contextTime > 0 && performanceTime > 0) {
    return (pageMs) => contextTime + (pageMs - performanceTime) / 1000;
  }
  const nowMs = performance.now();
  const heardS = context.currentTime - (context.outputLatency || context.baseLatency);
  return (pageMs) => heardS + (pageMs - nowMs) / 1000;
}
