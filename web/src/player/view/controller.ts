import { useCallback, useSyncExternalStore } from "react";
import coreAddress from "../../../core/playhead_player.wasm?url";
import type { Command, OpenRecording, PointerPlace, PointerShape, Report, Snapshot } from "../core/messages";
import { type Scheduled, SoundPlayer, type SoundState } from "./sound/player";

/** What scripts may read of the player, as `window.playhead`. Times are media time in microseconds. */
export interface PlayheadHandle {
  /** `loading`, `playing`, `paused`, `seeking`, `buffering`, `ended` or `failed`. */
  readonly status: Snapshot["status"];
  readonly playing: boolean;
  readonly position_us: number;
  /** The canvas shows everything up to here; null before the first picture. */
  readonly painted_us: number | null;
  readonly buffered_us: number;
  readonly buffer_bytes: number;
  readonly duration_us: number;
  /** The recording is going on. */
  readonly live: boolean;
  /** The player is at its live end. */
  readonly following: boolean;
  /** From the host's screen to this canvas, when following. */
  readonly delay_ms: number | null;
  readonly rate: number;
  readonly skip_idle: boolean;
  readonly width: number;
  readonly height: number;
  readonly pictures: number;
  readonly fragments: number;
  readonly bytes: number;
  readonly memory_bytes: number;
  /** Every fragment carried the hash of the one before. */
  readonly chain_ok: boolean;
  /** How sound stands, and what was handed to the sound device last; null when the recording has none. */
  readonly sound: (SoundState & { scheduled: Scheduled[] }) | null;
  readonly seeks: Snapshot["seeks"];
  readonly troubles: Snapshot["troubles"];
}

declare global {
  interface Window {
    playhead?: PlayheadHandle;
  }
}

export interface Pointer {
  place: PointerPlace;
  shape: PointerShape | undefined;
}

const NOTHING: Snapshot = {
  status: "loading",
  positionUs: 0,
  paintedUs: -1,
  bufferedUs: 0,
  bufferBytes: 0,
  durationUs: 0,
  live: false,
  following: false,
  delayMs: undefined,
  rate: 1,
  skipIdle: true,
  width: 0,
  height: 0,
  pictures: 0,
  bytes: 0,
  fragments: 0,
  decodeMs: 0,
  memoryBytes: 0,
  chainOk: true,
  sound: false,
  atMs: 0,
  troubles: [],
  seeks: [],
};

/** The page's end of the player: owns the worker, keeps what it last told. */
export class PlayerController {
  snapshot: Snapshot;
  pointer: Pointer | undefined;
  onSkipped: (fromUs: number, toUs: number) => void = () => undefined;
  onStreamEnded: () => void = () => undefined;
  onPointer: () => void = () => undefined;

  readonly sound: SoundPlayer;

  readonly #worker: Worker;
  readonly #listeners = new Set<() => void>();
  readonly #handle: PlayheadHandle;

  /** The canvas must be new: it is handed over to the worker for good. */
  constructor(
    readonly stage: HTMLCanvasElement,
    recording: OpenRecording,
    sound: { muted: boolean; volume: number },
  ) {
    this.sound = new SoundPlayer(
      sound.muted,
      sound.volume,
      (on) => this.send({ type: "sound", on }),
      () => this.#changed(),
    );
    this.snapshot = {
      ...NOTHING,
      durationUs: recording.durationUs,
      live: recording.live,
      rate: recording.rate,
      skipIdle: recording.skipIdle,
    };
    this.#worker = new Worker(new URL("../core/worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = (event: MessageEvent<Report>) => this.#report(event.data);
    this.#worker.onerror = (event) => this.#broken(event.message || "the worker did not load");
    const canvas = stage.transferControlToOffscreen();
    this.#worker.postMessage({ type: "open", canvas, core: coreAddress, recording } satisfies Command, [
      canvas,
    ]);
    this.#handle = handle(
      () => this.snapshot,
      () => this.sound,
    );
    window.playhead = this.#handle;
  }

  send(command: Exclude<Command, { type: "open" | "close" }>): void {
    this.#worker.postMessage(command);
  }

  close(): void {
    this.#worker.postMessage({ type: "close" } satisfies Command);
    this.#worker.onmessage = null;
    this.sound.close();
    if (window.playhead === this.#handle) delete window.playhead;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #report(report: Report): void {
    switch (report.type) {
      case "snapshot":
        this.snapshot = report.snapshot;
        this.sound.snapshot(report.snapshot);
        this.#changed();
        break;
      case "sound":
        this.sound.take(report.sound);
        break;
      case "pointer":
        this.pointer = { place: report.place, shape: report.shape ?? this.pointer?.shape };
        this.onPointer();
        break;
      case "skipped":
        this.onSkipped(report.fromUs, report.toUs);
        break;
      case "stream-ended":
        this.onStreamEnded();
        break;
      case "broken":
        this.#broken(report.detail);
        break;
    }
  }

  #broken(detail: string): void {
    this.snapshot = {
      ...this.snapshot,
      status: "failed",
      troubles: [...this.snapshot.troubles, { kind: "broken", detail }],
    };
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** A part of what the player last told; the component renders again only when that part changes. */
export function useSnapshot<T extends string | number | boolean | undefined>(
  player: PlayerController,
  select: (snapshot: Snapshot) => T,
): T {
  return useSyncExternalStore(
    player.subscribe,
    useCallback(() => select(player.snapshot), [player, select]),
  );
}

/** How sound stands; the component renders again only when that changes. */
export function useSound(player: PlayerController): SoundState {
  return useSyncExternalStore(
    player.subscribe,
    useCallback(() => player.sound.state, [player]),
  );
}

/** Own, readable, unchangeable properties, so that a script can copy them all at once. */
function handle(get: () => Snapshot, getSound: () => SoundPlayer): PlayheadHandle {
  const fields: { [name in keyof PlayheadHandle]: (snapshot: Snapshot) => PlayheadHandle[name] } = {
    status: (s) => s.status,
    playing: (s) => s.status === "playing" || s.status === "buffering",
    position_us: (s) => s.positionUs,
    painted_us: (s) => (s.paintedUs < 0 ? null : s.paintedUs),
    buffered_us: (s) => s.bufferedUs,
    buffer_bytes: (s) => s.bufferBytes,
    duration_us: (s) => s.durationUs,
    live: (s) => s.live,
    following: (s) => s.following,
    delay_ms: (s) => s.delayMs ?? null,
    rate: (s) => s.rate,
    skip_idle: (s) => s.skipIdle,
    width: (s) => s.width,
    height: (s) => s.height,
    pictures: (s) => s.pictures,
    fragments: (s) => s.fragments,
    bytes: (s) => s.bytes,
    memory_bytes: (s) => s.memoryBytes,
    chain_ok: (s) => s.chainOk,
    sound: () => {
      const { state, scheduled } = getSound();
      return state.there ? { ...state, scheduled: [...scheduled] } : null;
    },
    seeks: (s) => s.seeks,
    troubles: (s) => s.troubles,
  };
  const object = {} as PlayheadHandle;
  for (const [name, read] of Object.entries(fields)) {
    Object.defineProperty(object, name, { enumerable: true, get: () => read(get()) });
  }
  return Object.freeze(object);
}
