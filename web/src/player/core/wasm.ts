import type { Core, FragmentHead, Picture, SoundPacket, VideoTask } from "./core";
import { Step } from "./core";
import type { PointerPlace, PointerShape } from "./messages";

/** The exports of the crate `playhead-player`. Pointers are offsets into its memory. */
export interface PlayerExports {
  memory: WebAssembly.Memory;
  alloc(length: number): number;
  free(pointer: number, length: number): void;
  player_new(): number;
  player_free(player: number): void;
  player_push(player: number, pointer: number, length: number): number;
  player_pending(player: number): number;
  player_seek(player: number, firstSeq: number): void;
  player_reset_stream(player: number): void;
  player_next_seq(player: number): number;
  player_step(player: number, untilUs: number): number;
  player_position_us(player: number): number;
  player_head(player: number): number;
  player_anchor_seq(player: number): number;
  player_chain_ok(player: number): number;
  player_width(player: number): number;
  player_height(player: number): number;
  player_take_resized(player: number): number;
  player_take_dirty(player: number): number;
  player_dirty_ptr(player: number): number;
  player_rgba(player: number): number;
  player_is_layered(player: number): number;
  player_take_video(player: number): number;
  player_video_fields(player: number): number;
  player_video_rects(player: number): number;
  player_video_bytes(player: number): number;
  player_take_cursor(player: number): number;
  player_cursor(player: number): number;
  player_cursor_rgba(player: number): number;
  player_take_meta(player: number): number;
  player_meta_ptr(player: number): number;
  player_error(player: number): number;
  player_error_len(player: number): number;
  player_file_state(player: number): number;
  player_has_sound(player: number): number;
  sound_new(): number;
  sound_free(sound: number): void;
  sound_read(sound: number, pointer: number, length: number): number;
  sound_fields(sound: number): number;
  sound_bytes(sound: number): number;
}

const HEAD_FIELDS = 11;
const CURSOR_FIELDS = 7;
const SOUND_FIELDS = 4;
const SHAPE_CHANGED = 2;
const VIDEO_FIELDS = 8;

/** Compiles the core from an address of this console. */
export async function loadCore(address: string): Promise<WasmCore> {
  const response = await fetch(address, { credentials: "same-origin" });
  if (!response.ok)
    throw new Error(`the decoding core did not load: the console answered ${response.status}`);
  const instance = response.headers.get("content-type")?.startsWith("application/wasm")
    ? (await WebAssembly.instantiateStreaming(response, {})).instance
    : (await WebAssembly.instantiate(await response.arrayBuffer(), {})).instance;
  return new WasmCore(instance.exports as unknown as PlayerExports);
}

/**
 * The decoding core in WebAssembly. Every call may move its memory, so views are made anew each time and never kept.
 */
export class WasmCore implements Core {
  /** The player within the core, for calls that are not wrapped here. */
  get handle(): number {
    return this.#player;
  }

  readonly #player: number;
  #sound = 0;

  constructor(readonly exports: PlayerExports) {
    this.#player = exports.player_new();
  }

  seek(firstSeq: number): void {
    this.exports.player_seek(this.#player, firstSeq);
  }

  push(record: Uint8Array): boolean {
    const { exports } = this;
    // There is no memory of no bytes.
    if (record.length === 0) return true;
    const pointer = exports.alloc(record.length);
    if (pointer === 0) return false;
    new Uint8Array(exports.memory.buffer, pointer, record.length).set(record);
    const code = exports.player_push(this.#player, pointer, record.length);
    exports.free(pointer, record.length);
    return code === 0;
  }

  step(untilUs: number): Step {
    const code = this.exports.player_step(this.#player, Math.floor(untilUs));
    return code >= Step.Error && code <= Step.Again ? (code as Step) : Step.Error;
  }

  head(): FragmentHead | undefined {
    const pointer = this.exports.player_head(this.#player);
    if (pointer === 0) return undefined;
    const [seq = 0, , startUs = 0, endUs = 0, anchorSeq = 0, flags = 0, , , wallUs = 0] = new Float64Array(
      this.exports.memory.buffer,
      pointer,
      HEAD_FIELDS,
    );
    return { seq, startUs, endUs, anchorSeq, flags, wallUs };
  }

  anchorSeq(): number | undefined {
    const seq = this.exports.player_anchor_seq(this.#player);
    return seq < 0 ? undefined : seq;
  }

  chainOk(): boolean {
    return this.exports.player_chain_ok(this.#player) === 1;
  }

  takePicture(): Picture | undefined {
    const { exports } = this;
    const width = exports.player_width(this.#player);
    const height = exports.player_height(this.#player);
    if (width === 0 || height === 0) return undefined;
    const resized = exports.player_take_resized(this.#player) === 1;
    const layered = exports.player_is_layered(this.#player) === 1;
    const count = exports.player_take_dirty(this.#player);
    if (count <= 0 && !resized) return undefined;
    // Asked for before any view is made: a call may move the memory.
    const rectsAt = exports.player_dirty_ptr(this.#player);
    const rgbaAt = exports.player_rgba(this.#player);
    const { buffer } = exports.memory;
    return {
      width,
      height,
      resized,
      layered,
      rects: new Uint32Array(buffer, rectsAt, Math.max(0, count) * 4),
      rgba: new Uint8ClampedArray(buffer, rgbaAt, width * height * 4),
    };
  }

  takeVideo(): VideoTask[] {
    const { exports } = this;
    const count = exports.player_take_video(this.#player);
    if (count === 0) return [];
    const fieldsAt = exports.player_video_fields(this.#player);
    let rectsAt = exports.player_video_rects(this.#player);
    let bytesAt = exports.player_video_bytes(this.#player);
    const { buffer } = exports.memory;
    const fields = new Float64Array(buffer, fieldsAt, count * VIDEO_FIELDS);
    const tasks: VideoTask[] = [];
    for (let at = 0; at < fields.length; at += VIDEO_FIELDS) {
      const task = fields.subarray(at, at + VIDEO_FIELDS);
      const [kind = 0, x = 0, y = 0, width = 0, height = 0, rectCount = 0, length = 0] = task;
      if (kind === 0) tasks.push({ kind: "begin", width, height });
      else if (kind === 1) tasks.push({ kind: "save" });
      else if (kind === 2) tasks.push({ kind: "restore" });
      else {
        const numbers = new Uint32Array(buffer, rectsAt, Math.max(0, rectCount) * 4);
        const rects = rectCount < 0 ? undefined : rectsOf(numbers);
        // Kept beyond this call: a copy.
        const unit = new Uint8Array(buffer, bytesAt, length).slice();
        rectsAt += numbers.byteLength;
        bytesAt += length;
        if (kind === 3) tasks.push({ kind: "start", x, y, width, height, rects, unit });
        else tasks.push({ kind: "next", rects, unit });
      }
    }
    return tasks;
  }

  takePointer(): { place: PointerPlace; shape: PointerShape | undefined } | undefined {
    const { exports } = this;
    const changed = exports.player_take_cursor(this.#player);
    if (changed === 0) return undefined;
    const at = exports.player_cursor(this.#player);
    const rgbaAt = exports.player_cursor_rgba(this.#player);
    const [x = 0, y = 0, visible = 0, width = 0, height = 0, hotX = 0, hotY = 0] = new Int32Array(
      exports.memory.buffer,
      at,
      CURSOR_FIELDS,
    );
    const shape =
      (changed & SHAPE_CHANGED) !== 0 && width > 0 && height > 0
        ? {
            width,
            height,
            rgba: new Uint8ClampedArray(exports.memory.buffer, rgbaAt, width * height * 4).slice(),
          }
        : undefined;
    return { place: { x, y, visible: visible !== 0, hotX, hotY }, shape };
  }

  errorText(): string {
    const pointer = this.exports.player_error(this.#player);
    const length = this.exports.player_error_len(this.#player);
    return this.#text(pointer, length);
  }

  hasSound(): boolean {
    return this.exports.player_has_sound(this.#player) === 1;
  }

  readSound(record: Uint8Array): SoundPacket[] {
    const { exports } = this;
    if (this.#sound === 0) this.#sound = exports.sound_new();
    const pointer = record.length > 0 ? exports.alloc(record.length) : 0;
    if (pointer === 0) return [];
    new Uint8Array(exports.memory.buffer, pointer, record.length).set(record);
    const count = exports.sound_read(this.#sound, pointer, record.length);
    exports.free(pointer, record.length);
    const fields = new Float64Array(
      exports.memory.buffer,
      exports.sound_fields(this.#sound),
      count * SOUND_FIELDS,
    );
    let at = exports.sound_bytes(this.#sound);
    return Array.from({ length: count }, (_, number) => {
      const [atUs = 0, begins = 0, channels = 0, length = 0] = fields.subarray(number * SOUND_FIELDS);
      const bytes = new Uint8Array(exports.memory.buffer, at, length).slice();
      at += length;
      return { atUs, begins: begins === 1, channels, bytes };
    });
  }

  /** The recording's meta messages applied since the last call, as JSON text; undefined when there were none. */
  takeMeta(): string | undefined {
    const length = this.exports.player_take_meta(this.#player);
    return length > 0 ? this.#text(this.exports.player_meta_ptr(this.#player), length) : undefined;
  }

  memoryBytes(): number {
    return this.exports.memory.buffer.byteLength;
  }

  #text(pointer: number, length: number): string {
    return length > 0
      ? new TextDecoder().decode(new Uint8Array(this.exports.memory.buffer, pointer, length))
      : "";
  }
}

function rectsOf(numbers: Uint32Array): [number, number, number, number][] {
  const rects: [number, number, number, number][] = [];
  for (let at = 0; at + 3 < numbers.length; at += 4) {
    rects.push([...numbers.subarray(at, at + 4)] as [number, number, number, number]);
  }
  return rects;
}
