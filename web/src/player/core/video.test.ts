import { beforeAll, describe, expect, it } from "vitest";
import type { VideoTask } from "./core";
import { codecOf, VideoLayer } from "./video";

/** The start of a stream as the encoder writes it: parameters of profile 100, level 3.1. */
const START = new Uint8Array([0, 0, 0, 1, 0x67, 0x64, 0, 0x1f, 9, 9, 0, 0, 0, 1, 0x65, 1]);

type Start = Extract<VideoTask, { kind: "start" }>;

function start(rects: Start["rects"] = [[0, 0, 16, 16]]): Start {
  return { kind: "start", x: 8, y: 16, width: 16, height: 16, rects, unit: START };
}

const NEXT: VideoTask = { kind: "next", rects: undefined, unit: new Uint8Array([0, 0, 1, 0x41, 1]) };
const BEGIN: VideoTask = { kind: "begin", width: 64, height: 48 };

class FakeCanvas {
  drawn: string[] = [];
  constructor(
    readonly width: number,
    readonly height: number,
  ) {}
  getContext() {
    const { drawn } = this;
    return {
      save: () => undefined,
      restore: () => undefined,
      beginPath: () => undefined,
      clip: () => undefined,
      rect: (...place: number[]) => drawn.push(`clip ${place}`),
      drawImage: (what: { name?: string; drawn?: string[] }) =>
        drawn.push(what.name ?? `copy of ${what.drawn?.length}`),
      fillRect: (...place: number[]) => drawn.push(`fill ${place}`),
      fillStyle: "",
    };
  }
}

/** A decoder whose pictures come out when the test says so. */
class FakeDecoder {
  state = "unconfigured";
  configured: string[] = [];
  given: number[] = [];
  open = 0;
  constructor(
    readonly output: (frame: VideoFrame) => void,
    readonly error: (error: Error) => void,
  ) {}
  configure({ codec }: { codec: string }) {
    this.state = "configured";
    this.configured.push(codec);
  }
  decode(chunk: { timestamp: number }) {
    this.given.push(chunk.timestamp);
  }
  reset() {
    this.state = "unconfigured";
    this.given = [];
  }
  close() {
    this.state = "closed";
  }
  give() {
    const timestamp = this.given.shift() as number;
    this.open += 1;
    const close = () => {
      this.open -= 1;
    };
    this.output({ timestamp, close, name: `picture ${timestamp}` } as unknown as VideoFrame);
  }
}

function make() {
  const decoders: FakeDecoder[] = [];
  const layer = new VideoLayer({
    decoder: (output, error) => {
      const decoder = new FakeDecoder(output, error);
      decoders.push(decoder);
      return decoder as unknown as VideoDecoder;
    },
    canvas: (width, height) => new FakeCanvas(width, height) as unknown as OffscreenCanvas,
  });
  const drawn = () => (layer.plane as unknown as FakeCanvas | undefined)?.drawn;
  const decoder = () => decoders.at(-1) as FakeDecoder;
  return { layer, decoder, decoders, drawn };
}

beforeAll(() => {
  // Node has none.
  globalThis.EncodedVideoChunk = class {
    timestamp: number;
    constructor(init: { timestamp: number }) {
      this.timestamp = init.timestamp;
    }
  } as unknown as typeof EncodedVideoChunk;
});

describe("the video's layer", () => {
  it("names a stream's codec by its parameters", () => {
    expect(codecOf(START)).toBe("avc1.64001f");
    expect(() => codecOf(new Uint8Array([0, 0, 1, 0x41, 2, 3, 4]))).toThrow();
  });

  it("does everything in order, and keeps no picture of the decoder", async () => {
    const { layer, decoder, drawn } = make();
    layer.take([BEGIN, start(), NEXT, { kind: "save" }]);
    expect(layer.backlog).toBe(3);
    const settled = layer.settled(1000);
    decoder().give();
    expect(drawn()).toEqual(["clip 8,16,16,16", "picture 1"]);
    decoder().give();
    expect(await settled).toBe(true);
    expect(decoder().open).toBe(0);
    expect(layer.takeChanged().length).toBe(3);
    layer.take([start([]), { kind: "restore" }]);
    expect(decoder().given.length, "what the key frame makes superfluous is dropped").toBe(0);
    expect(drawn()?.at(-1), "the anchor's picture again").toMatch(/^copy of/);
    expect(layer.backlog).toBe(0);
  });

  it("does not drop an anchor's pictures", () => {
    const { layer, decoder, drawn } = make();
    layer.take([BEGIN, start(), { kind: "save" }, { kind: "restore" }, start()]);
    decoder().give();
    expect(drawn()?.at(-1)).toMatch(/^copy of/);
    decoder().give();
    expect(drawn()?.slice(-2)).toEqual(["clip 8,16,16,16", "picture 2"]);
  });

  it("goes on with the next stream after one that cannot be decoded, and says so", () => {
    const { layer, decoder, decoders, drawn } = make();
    layer.take([BEGIN, start(), NEXT]);
    decoder().state = "closed";
    decoder().error(new Error("no"));
    expect(layer.trouble).toBe("no");
    expect(layer.backlog).toBe(0);
    layer.take([NEXT, start()]);
    expect(decoders.length).toBe(2);
    decoder().give();
    expect(drawn()?.at(-1)).toBe("picture 4");
  });

  it("shows grey where there is no decoder", async () => {
    const layer = new VideoLayer({
      decoder: undefined,
      canvas: (width, height) => new FakeCanvas(width, height) as unknown as OffscreenCanvas,
    });
    layer.take([BEGIN, start(), NEXT, { kind: "save" }]);
    expect(await layer.settled(1)).toBe(true);
    expect(layer.impossible && layer.trouble !== undefined).toBe(true);
    expect((layer.plane as unknown as FakeCanvas).drawn.at(-1)).toBe("fill 8,16,16,16");
  });

  it("waits only so long", async () => {
    const { layer } = make();
    layer.take([BEGIN, start()]);
    expect(await layer.settled(5)).toBe(false);
    layer.close();
    expect(layer.backlog).toBe(0);
  });
});
