/** What page and worker say to each other. Media times are microseconds since the recording's start. */

import type { SoundPacket } from "./core";

/** Spans of media time, [from, to] in microseconds, in order and apart from each other. */
export type Spans = [number, number][];

export type Command =
  | { type: "open"; canvas: OffscreenCanvas; core: string; recording: OpenRecording }
  | { type: "update"; live: boolean; durationUs: number }
  | { type: "idle"; spans: Spans }
  | { type: "play" }
  | { type: "pause" }
  | { type: "seek"; atUs: number; scrub: boolean }
  | { type: "live"; durationUs: number }
  | { type: "rate"; rate: number }
  | { type: "skip-idle"; on: boolean }
  | { type: "step"; direction: 1 | -1 }
  /** Whether sound is wanted: it is not read while it cannot be heard. */
  | { type: "sound"; on: boolean }
  | { type: "retry" }
  | { type: "close" };

export interface OpenRecording {
  /** Address of the recording's fragments, without query. */
  url: string;
  live: boolean;
  durationUs: number;
  /** Wall clock at media time 0, microseconds since the Unix epoch. */
  startedAtUs: number;
  /** Where to begin; undefined: at the live end, or at the start of a finished one. */
  atUs: number | undefined;
  play: boolean;
  skipIdle: boolean;
  rate: number;
}

export type Status = "loading" | "playing" | "paused" | "seeking" | "buffering" | "ended" | "failed";

/** Something the viewer has to know. Damage does not stop play, the others do. */
export interface Trouble {
  kind: "no-video" | "video" | "damaged" | "newer" | "connection" | "outside" | "refused" | "broken";
  /** What is wrong, in the words of whoever found it. */
  detail: string;
  /** Media time it concerns, where it concerns one. */
  atUs?: number;
  /** HTTP status, where a request was refused. */
  httpStatus?: number;
  /** Identifier of the error in the console's log. */
  id?: string;
}

export interface Seek {
  /** Where to. */
  at_us: number;
  /** From the request until the picture was painted, milliseconds. */
  ms: number;
  /** Of these, decoding. */
  decode_ms: number;
  /** Of these, painting. */
  paint_ms: number;
  /** Bytes that came for it. */
  bytes: number;
}

export interface Snapshot {
  status: Status;
  positionUs: number;
  /** The canvas shows everything up to this media time; -1 before the first picture. */
  paintedUs: number;
  bufferedUs: number;
  bufferBytes: number;
  durationUs: number;
  live: boolean;
  /** Playing at the live end. */
  following: boolean;
  /** From the host's clock to the canvas; undefined when not following or when the clocks disagree. */
  delayMs: number | undefined;
  rate: number;
  skipIdle: boolean;
  width: number;
  height: number;
  /** Pictures painted. */
  pictures: number;
  /** Bytes received. */
  bytes: number;
  /** Fragments decoded. */
  fragments: number;
  /** Time the last tick spent decoding and painting, milliseconds. */
  decodeMs: number;
  memoryBytes: number;
  chainOk: boolean;
  /** The recording has sound, as far as is known. */
  sound: boolean;
  /** When the playhead was at `positionUs`: milliseconds since the Unix epoch, by a clock that page and worker share. */
  atMs: number;
  troubles: Trouble[];
  seeks: Seek[];
}

export interface PointerPlace {
  x: number;
  y: number;
  visible: boolean;
  hotX: number;
  hotY: number;
}

export interface PointerShape {
  width: number;
  height: number;
  /** RGBA, not premultiplied. */
  rgba: Uint8ClampedArray<ArrayBuffer>;
}

/** Sound that follows what was sent before without a hole. */
export interface SoundPiece {
  /** Another number means: what was sent before is of no use any more. */
  run: number;
  packets: SoundPacket[];
  /** When it had arrived, as `atMs` of a snapshot. */
  atMs: number;
}

export type Report =
  | { type: "snapshot"; snapshot: Snapshot }
  | { type: "sound"; sound: SoundPiece }
  | { type: "pointer"; place: PointerPlace; shape: PointerShape | undefined }
  | { type: "skipped"; fromUs: number; toUs: number }
  /** A live stream ended: the page finds out whether the recording did. */
  | { type: "stream-ended" }
  /** The worker cannot work at all. */
  | { type: "broken"; detail: string };
