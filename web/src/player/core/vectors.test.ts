import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { crc32 } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { Step } from "./core";
import { type PlayerExports, WasmCore } from "./wasm";

/** Recording files with their expected reading; the Rust reader is held to the same. */
const VECTORS = resolve(import.meta.dirname, "../../../../testdata/vectors");
const CORE = resolve(import.meta.dirname, "../../../core/playhead_player.wasm");

interface Expected {
  files: {
    name: string;
    fragments: { seq: number; offset: number; length: number }[];
    sound?: { seq: number; packets: number[][]; crc32: string }[];
    play?: {
      steps: Record<string, unknown>[];
      chain_ok: boolean;
      whole_file: boolean;
      bytes_left: boolean;
      meta: unknown;
      video?: { tasks: number[][]; rects: number[]; crc32: string };
    };
  }[];
}

const RESULTS = new Map<Step, string>([
  [Step.Error, "error"],
  [Step.NeedMore, "need-more"],
  [Step.Reached, "reached"],
  [Step.End, "end"],
]);
const WHOLE_FILE = 2;

let module: WebAssembly.Module;

beforeAll(async () => {
  module = await WebAssembly.compile(readFileSync(CORE));
});

/** Plays one file as its expected reading says. */
function play(exports: PlayerExports, bytes: Uint8Array, steps: { until_us: number }[]) {
  const core = new WasmCore(exports);
  const player = core.handle;
  const pushed = core.push(bytes);
  const done = steps.map(({ until_us }) => {
    let step = core.step(until_us);
    while (step === Step.Again) step = core.step(until_us);
    core.takePicture();
    const width = exports.player_width(player);
    const height = exports.player_height(player);
    const rgba = new Uint8Array(exports.memory.buffer, exports.player_rgba(player), width * height * 4);
    const position = exports.player_position_us(player);
    return {
      until_us,
      result: RESULTS.get(step),
      position_us: position < 0 ? null : position,
      width,
      height,
      picture_crc32: width > 0 ? crc32(rgba).toString(16).padStart(8, "0") : null,
      pointer: [...new Int32Array(exports.memory.buffer, exports.player_cursor(player), 7)],
    };
  });
  const meta = core.takeMeta();
  return {
    pushed,
    steps: done,
    video: video(exports, player),
    meta: meta === undefined ? null : JSON.parse(meta),
    chain_ok: core.chainOk(),
    whole_file: exports.player_file_state(player) === WHOLE_FILE,
    bytes_left: exports.player_pending(player) > 0,
  };
}

/** What the video's decoder was told to do; nothing where no stream starts. */
function video(exports: PlayerExports, player: number) {
  const count = exports.player_take_video(player);
  const { buffer } = exports.memory;
  const fields = [...new Float64Array(buffer, exports.player_video_fields(player), count * 8)];
  const tasks = Array.from({ length: count }, (_, at) => fields.slice(at * 8, at * 8 + 8));
  if (!tasks.some(([kind]) => kind === 3)) return undefined;
  const total = (column: number) => tasks.reduce((sum, task) => sum + Math.max(0, task[column] ?? 0), 0);
  const rects = new Uint32Array(buffer, exports.player_video_rects(player), total(5) * 4);
  const bytes = new Uint8Array(buffer, exports.player_video_bytes(player), total(6));
  return { tasks, rects: [...rects], crc32: crc32(bytes).toString(16).padStart(8, "0") };
}

/** Reads the sound of every fragment that has some. */
function hear(exports: PlayerExports, bytes: Uint8Array, fragments: Expected["files"][number]["fragments"]) {
  const core = new WasmCore(exports);
  return fragments.flatMap(({ seq, offset, length }) => {
    const packets = core.readSound(bytes.subarray(offset, offset + length));
    if (packets.length === 0) return [];
    const numbers = packets.map((packet) => [
      packet.atUs,
      Number(packet.begins),
      packet.channels,
      packet.bytes.length,
    ]);
    const all = Buffer.concat(packets.map((packet) => packet.bytes));
    return [{ seq, packets: numbers, crc32: crc32(all).toString(16).padStart(8, "0") }];
  });
}

describe("the decoding core reads the vectors", () => {
  const names = readdirSync(VECTORS).filter((name) => name.endsWith(".json"));

  it("of which there are some", () => {
    expect(names.length).toBeGreaterThan(10);
  });

  it.each(names)("%s", async (name) => {
    const expected = JSON.parse(readFileSync(join(VECTORS, name), "utf8")) as Expected;
    for (const file of expected.files) {
      if (!file.play) continue;
      const instance = await WebAssembly.instantiate(module, {});
      const exports = instance.exports as unknown as PlayerExports;
      const steps = file.play.steps as unknown as { until_us: number }[];
      const { pushed, ...actual } = play(exports, readFileSync(join(VECTORS, file.name)), steps);
      expect(pushed, file.name).toBe(true);
      expect(actual, file.name).toEqual(file.play);
      const heard = hear(exports, readFileSync(join(VECTORS, file.name)), file.fragments);
      expect(heard, file.name).toEqual(file.sound ?? []);
    }
  });
});
