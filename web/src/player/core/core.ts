import type { PointerPlace, PointerShape } from "./messages";

/** What a step of the decoding core came to. The numbers are those of the wasm exports. */
export const Step = { Error: -1, NeedMore: 0, Reached: 1, End: 2, Again: 3 } as const;
export type Step = (typeof Step)[keyof typeof Step];

/** Particulars of the fragment that is being played. */
export interface FragmentHead {
  seq: number;
  startUs: number;
  endUs: number;
  /** The fragment whose anchor it rests on; of an anchor that is repeated, the one that had it first. */
  anchorSeq: number;
  flags: number;
  wallUs: number;
}

/** Flags of a fragment. */
export const ANCHOR = 2;
export const LAST_OF_RECORDING = 8;

/** The picture and which parts of it are new. The pixels are a view that the next call into the core makes void. */
export interface Picture {
  width: number;
  height: number;
  resized: boolean;
  /** x, y, width, height of each changed rectangle, one after the other. */
  rects: Uint32Array;
  /** Somewhere the video below is to be seen. */
  layered: boolean;
  /** RGBA, row by row: opaque, or clear where the video is to be seen. */
  rgba: Uint8ClampedArray<ArrayBuffer>;
}

/** 20 ms of sound. */
export interface SoundPacket {
  /** Media time at which it was heard, microseconds. */
  atUs: number;
  /** The encoder began anew with it: nothing before is needed. */
  begins: boolean;
  channels: number;
  /** A packet of Opus. */
  bytes: Uint8Array<ArrayBuffer>;
}

/**
 * What the video's decoder has to do:
 * - `begin`: an anchor comes, and with it no video
 * - `save`: the anchor ends; keep the video's picture
 * - `restore`: go back to that picture
 * - `start`: a stream begins, and its first picture comes
 * - `next`: its next picture
 *
 * Rectangles are those of the stream's picture that are taken over, from now on where they are given.
 */
export type VideoTask =
  | { kind: "begin"; width: number; height: number }
  | { kind: "save" }
  | { kind: "restore" }
  | ({ kind: "start"; x: number; y: number; width: number; height: number } & VideoUnit)
  | ({ kind: "next" } & VideoUnit);

interface VideoUnit {
  rects: [x: number, y: number, width: number, height: number][] | undefined;
  /** H.264, one access unit in Annex B form. */
  unit: Uint8Array<ArrayBuffer>;
}

/** The decoding core: turns fragments into pictures. */
export interface Core {
  /** Begins anew elsewhere in the recording; keeps the anchor picture. */
  seek(firstSeq: number): void;
  /** False when the bytes were refused. */
  push(record: Uint8Array): boolean;
  /** Applies what lies at or before a media time. */
  step(untilUs: number): Step;
  head(): FragmentHead | undefined;
  /** The fragment whose anchor picture is held; undefined when none is. */
  anchorSeq(): number | undefined;
  chainOk(): boolean;
  /** The picture, when anything has changed since the last call. */
  takePicture(): Picture | undefined;
  /** What there is to do for the video since the last call. */
  takeVideo(): VideoTask[];
  /** The pointer, when anything has changed since the last call. */
  takePointer(): { place: PointerPlace; shape: PointerShape | undefined } | undefined;
  /** Whether a fragment with sound was met. */
  hasSound(): boolean;
  /** The sound of a fragment, whether it is being played or not. */
  readSound(record: Uint8Array): SoundPacket[];
  errorText(): string;
  memoryBytes(): number;
}
