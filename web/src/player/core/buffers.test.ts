import { expect, it } from "vitest";
import { PieceReader } from "./pieces";
import { Buffers } from "./records";

it("gives room again that was given back, and keeps a bounded amount", () => {
  const buffers = new Buffers(3000);
  const first = buffers.take(1000);
  buffers.give(first);
  const second = buffers.take(600);
  expect(second.buffer).toBe(first.buffer);
  expect(second.length).toBe(600);
  // In use: another one.
  expect(buffers.take(600).buffer).not.toBe(first.buffer);
  const many = Array.from({ length: 5 }, () => new Uint8Array(1000));
  for (const bytes of many) buffers.give(bytes);
  const back = many.map(() => buffers.take(1000).buffer);
  expect(back.filter((buffer) => many.some((bytes) => bytes.buffer === buffer))).toHaveLength(3);
});

it.each(["bytes", "default"] as const)("reads a %s stream to its end", async (type) => {
  const whole = Uint8Array.from({ length: 300_000 }, (_, at) => at % 251);
  const start = (controller: { enqueue(piece: Uint8Array<ArrayBuffer>): void; close(): void }) => {
    controller.enqueue(whole.slice(0, 1000));
    controller.enqueue(whole.slice(1000));
    controller.close();
  };
  const stream =
    type === "bytes" ? new ReadableStream({ type: "bytes", start }) : new ReadableStream({ start });
  const reader = new PieceReader(stream as ReadableStream<Uint8Array>);
  const got: Uint8Array[] = [];
  for (let piece = await reader.read(); piece; piece = await reader.read()) got.push(piece.slice());
  expect(Buffer.concat(got).equals(whole)).toBe(true);
});
