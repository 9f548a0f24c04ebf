import { describe, expect, it } from "vitest";
import { FragmentQueue, RecordSplitter, StreamError } from "./records";
import { encodeFragment, makeRecording } from "./testing";

const fragments = makeRecording(3);
const stream = Buffer.concat(fragments.map(encodeFragment));

describe("RecordSplitter", () => {
  it("finds the same fragments however the stream is cut", () => {
    for (const size of [1, 2, 8, 9, 10, 57, stream.length]) {
      const splitter = new RecordSplitter();
      const found = [];
      for (let at = 0; at < stream.length; at += size) {
        found.push(...splitter.push(stream.subarray(at, at + size)));
      }
      expect(found.map((record) => [record.startUs, record.endUs])).toEqual([
        [0, 0],
        [1_000_000, 1_000_000],
        [2_000_000, 2_000_000],
      ]);
      expect(Buffer.concat(found.map((record) => record.bytes)).equals(stream)).toBe(true);
      expect(splitter.torn).toBe(false);
    }
  });

  it("knows that a record is torn", () => {
    const splitter = new RecordSplitter();
    splitter.push(stream.subarray(0, stream.length - 1));
    expect(splitter.torn).toBe(true);
  });

  it("refuses other bytes and lengths beyond the limit, before taking memory for them", () => {
    expect(() => new RecordSplitter().push(new TextEncoder().encode("<!doctype html>"))).toThrow(StreamError);
    const huge = Buffer.from(stream.subarray(0, 9));
    huge.writeBigUInt64LE(1n << 60n, 1);
    expect(() => new RecordSplitter().push(huge)).toThrow(/expected a fragment of 40 to/);
    const tiny = Buffer.from(stream.subarray(0, 9));
    tiny.writeBigUInt64LE(39n, 1);
    expect(() => new RecordSplitter().push(tiny)).toThrow(StreamError);
  });
});

describe("FragmentQueue", () => {
  it("counts what it holds", () => {
    const queue = new FragmentQueue();
    const records = new RecordSplitter().push(stream);
    for (const record of records) queue.push(record);
    expect(queue.bytes).toBe(stream.length);
    expect(queue.endUs).toBe(2_000_000);
    expect(queue.shift()).toBe(records[0]);
    expect(queue.peek()).toBe(records[1]);
    queue.clear();
    expect([queue.length, queue.bytes, queue.endUs]).toEqual([0, 0, undefined]);
  });
});
