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
  /** RGBA, opaque, row by row. */
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
  /** The pointer, when anything has changed since the last call. */
  takePointer(): { place: PointerPlace; shape: PointerShape | undefined } | undefined;
  /** Whether a fragment with sound was met. */
  hasSound(): boolean;
  /** The sound of a fragment, whether it is being played or not. */
  readSound(record: Uint8Array): SoundPacket[];
  errorText(): string;
  memoryBytes(): number;
}
