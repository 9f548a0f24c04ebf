/** Stand-ins for tests: fragments with a made-up content, a core that understands them, a source that serves them. */
import { type Core, type FragmentHead, type Picture, type SoundPacket, Step } from "./core";
import type { FragmentRequest, FragmentSource } from "./source";
import { SourceError } from "./source";

export interface FakeFragment {
  seq: number;
  startUs: number;
  endUs: number;
  /** 1 key frame, 2 anchor, 8 last, 32 repeated. */
  flags: number;
  anchorSeq: number;
  /** Media times of pictures. */
  pictures: number[];
  damaged?: boolean;
  /** Bytes of the record besides the content. */
  padding?: number;
  /** Media times of packets of sound. */
  sound?: number[];
}

export function encodeFragment(fragment: FakeFragment): Uint8Array<ArrayBuffer> {
  const content = new TextEncoder().encode(JSON.stringify(fragment));
  const padding = fragment.padding ?? 0;
  const bytes = new Uint8Array(9 + 40 + content.length + padding);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x06;
  view.setBigUint64(1, BigInt(bytes.length - 9), true);
  view.setBigUint64(9, BigInt(fragment.startUs) * 1000n, true);
  // As in a real chunk: the time of the last message, not the fragment's end.
  view.setBigUint64(17, BigInt(fragment.pictures.at(-1) ?? fragment.startUs) * 1000n, true);
  view.setUint32(25, content.length, true);
  bytes.set(content, 49);
  return bytes;
}

function decodeFragment(bytes: Uint8Array): FakeFragment {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(25, true);
  return JSON.parse(new TextDecoder().decode(bytes.subarray(49, 49 + length))) as FakeFragment;
}

/** A recording of `seconds` fragments of one second with a picture each, and a key frame every `keyEvery`. */
export function makeRecording(seconds: number, keyEvery = 10, finished = true): FakeFragment[] {
  return Array.from({ length: seconds }, (_, seq) => ({
    seq,
    startUs: seq * 1_000_000,
    endUs: (seq + 1) * 1_000_000,
    flags: (seq === 0 ? 3 : seq % keyEvery === 0 ? 1 : 0) + (finished && seq === seconds - 1 ? 8 : 0),
    anchorSeq: 0,
    pictures: [seq * 1_000_000],
  }));
}

/** Behaves as the real core does, without pixels. */
export class FakeCore implements Core {
  steps = 0;
  /** Numbers of all fragments whose pictures were applied, in order. */
  played: number[] = [];
  /** Media time of the picture that is shown. */
  shownUs = -1;

  #pending: FakeFragment[] = [];
  #current: { fragment: FakeFragment; next: number } | undefined;
  #head: FakeFragment | undefined;
  #anchor: number | undefined;
  #starting = true;
  #first = 0;
  #dirty = false;
  #error = "";
  #chainOk = true;
  #hasSound = false;

  seek(firstSeq: number): void {
    this.#pending = [];
    this.#current = undefined;
    this.#starting = true;
    this.#first = firstSeq;
    this.#error = "";
    this.#chainOk = true;
  }

  push(record: Uint8Array): boolean {
    this.#pending.push(decodeFragment(record));
    return true;
  }

  step(untilUs: number): Step {
    this.steps += 1;
    if (this.#error) return Step.Error;
    while (!this.#current) {
      const head = this.#head;
      if (head && !this.#starting) {
        if ((head.flags & 8) !== 0 && untilUs >= head.endUs) return Step.End;
        if (untilUs <= head.endUs) return Step.Reached;
      }
      const fragment = this.#pending.shift();
      if (!fragment) return Step.NeedMore;
      const fault = this.#admit(fragment);
      if (fault) {
        this.#error = fault;
        return Step.Error;
      }
      this.#head = fragment;
      this.#hasSound ||= (fragment.sound ?? []).length > 0;
      this.#current = { fragment, next: 0 };
    }
    const { fragment } = this.#current;
    for (; this.#current.next < fragment.pictures.length; this.#current.next += 1) {
      const at = fragment.pictures[this.#current.next] as number;
      if (at > untilUs) return Step.Reached;
      this.#dirty = true;
      this.shownUs = at;
      if (this.played.at(-1) !== fragment.seq) this.played.push(fragment.seq);
    }
    if ((fragment.flags & 2) !== 0) this.#anchor = fragment.anchorSeq;
    this.#current = undefined;
    if ((fragment.flags & 8) !== 0 && untilUs >= fragment.endUs) return Step.End;
    if (untilUs <= fragment.endUs) return Step.Reached;
    return this.#pending.length > 0 ? Step.Again : Step.NeedMore;
  }

  #admit(fragment: FakeFragment): string | undefined {
    if (fragment.damaged) return "the fragment cannot be decompressed";
    const key = (fragment.flags & 1) !== 0;
    const fits = (fragment.flags & 2) !== 0 || this.#anchor === fragment.anchorSeq;
    if (this.#starting) {
      if (fragment.seq < this.#first) return undefined;
      if (!key || !fits) return `fragment ${fragment.seq} is no key frame to start with`;
      this.#starting = false;
      return undefined;
    }
    if (fragment.seq === (this.#head?.seq ?? -1) + 1) return undefined;
    this.#chainOk = false;
    return key && fits ? undefined : "fragments are missing";
  }

  head(): FragmentHead | undefined {
    const head = this.#head;
    if (!head) return undefined;
    const { seq, startUs, endUs, anchorSeq, flags } = head;
    return { seq, startUs, endUs, anchorSeq, flags, wallUs: 0 };
  }

  anchorSeq(): number | undefined {
    return this.#anchor;
  }

  chainOk(): boolean {
    return this.#chainOk;
  }

  takePicture(): Picture | undefined {
    if (!this.#dirty) return undefined;
    this.#dirty = false;
    return {
      width: 1,
      height: 1,
      resized: false,
      layered: false,
      rects: new Uint32Array([0, 0, 1, 1]),
      rgba: new Uint8ClampedArray(4),
    };
  }

  takeVideo(): [] {
    return [];
  }

  takePointer(): undefined {
    return undefined;
  }

  hasSound(): boolean {
    return this.#hasSound;
  }

  readSound(record: Uint8Array): SoundPacket[] {
    const { sound = [] } = decodeFragment(record);
    return sound.map((atUs) => ({ atUs, begins: false, channels: 2, bytes: new Uint8Array([1]) }));
  }

  errorText(): string {
    return this.#error;
  }

  memoryBytes(): number {
    return 0;
  }
}

/** Serves a recording as the console does, and remembers what was asked. */
export class FakeConsole {
  requests: FragmentRequest[] = [];
  aborted = 0;
  /** Thrown by the next request. */
  failure: SourceError | undefined;
  /** Streams that are open at the live end. */
  #followers = new Set<(fragment: FakeFragment | undefined) => void>();

  constructor(
    readonly fragments: FakeFragment[],
    public live = false,
  ) {}

  /** A new fragment at the live end. */
  add(fragment: FakeFragment): void {
    this.fragments.push(fragment);
    for (const follower of this.#followers) follower(fragment);
  }

  /** The recording ends, or the connections to it do. */
  endStreams(): void {
    for (const follower of this.#followers) follower(undefined);
  }

  source: FragmentSource = async (request, signal) => {
    this.requests.push(request);
    if (this.failure) {
      const failure = this.failure;
      this.failure = undefined;
      throw failure;
    }
    const chosen = this.#choose(request);
    signal.addEventListener("abort", () => {
      this.aborted += 1;
    });
    const followers = this.#followers;
    const follows = request.follow === true && this.live;
    let follower: ((fragment: FakeFragment | undefined) => void) | undefined;
    return new ReadableStream<Uint8Array>(
      {
        start(controller) {
          if (!follows) return;
          follower = (fragment) => {
            if (fragment) controller.enqueue(encodeFragment(fragment));
            else controller.close();
            if (!fragment && follower) followers.delete(follower);
          };
          followers.add(follower);
        },
        pull(controller) {
          const next = chosen.shift();
          if (next) controller.enqueue(encodeFragment(next));
          else if (!follows) controller.close();
        },
        cancel() {
          if (follower) followers.delete(follower);
        },
      },
      { highWaterMark: 0 },
    );
  };

  #choose(request: FragmentRequest): FakeFragment[] {
    const all = this.fragments;
    let budget = request.maxBytes ?? Number.POSITIVE_INFINITY;
    if (request.afterSeq !== undefined) {
      const after = request.afterSeq;
      return all.filter((fragment) => {
        if (fragment.seq <= after || budget <= 0) return false;
        budget -= encodeFragment(fragment).length;
        return true;
      });
    }
    const at = request.atUs ?? 0;
    const end = all.at(-1)?.endUs ?? 0;
    if (at > end || all.length === 0) {
      throw new SourceError({ kind: "outside", detail: `0 to ${end}`, httpStatus: 416 }, false);
    }
    const key = all.findLastIndex((fragment) => (fragment.flags & 33) === 1 && fragment.startUs <= at);
    const until = request.untilUs ?? Number.POSITIVE_INFINITY;
    const chosen: FakeFragment[] = [];
    const first = all[key] as FakeFragment;
    if (first.anchorSeq !== first.seq && request.anchorSeq !== first.anchorSeq) {
      const carrier = all.findLastIndex(({ seq, flags }) => (flags & 2) !== 0 && seq < first.seq);
      chosen.push(all[carrier] as FakeFragment);
    }
    return [...chosen, first, ...all.slice(key + 1).filter((fragment) => fragment.startUs <= until)];
  }
}
