import { describe, expect, it } from "vitest";
import { FragmentQueue, RecordSplitter } from "./records";
import { SoundFeed } from "./sound-feed";
import { encodeFragment, FakeCore, makeRecording } from "./testing";

/** Ten seconds with sound that stands a second after it was heard. */
function queueOf(core: FakeCore) {
  const fragments = makeRecording(10).map((fragment) => ({
    ...fragment,
    sound: [fragment.startUs - 1_000_000, fragment.startUs - 500_000].filter((at) => at >= 0),
  }));
  const queue = new FragmentQueue();
  const splitter = new RecordSplitter();
  for (const record of splitter.push(Buffer.concat(fragments.map(encodeFragment)))) queue.push(record);
  // The core has met sound.
  core.push(encodeFragment(fragments[0] as (typeof fragments)[0]));
  core.push(encodeFragment(fragments[1] as (typeof fragments)[0]));
  core.step(1_500_000);
  core.step(1_500_000);
  return queue;
}

describe("the sound feed", () => {
  it("reads ahead of the playhead, each fragment once, and anew after a seek", () => {
    const core = new FakeCore();
    const queue = queueOf(core);
    const given: { run: number; at: number[] }[] = [];
    const feed = new SoundFeed(core, ({ run, packets }) =>
      given.push({ run, at: packets.map((packet) => packet.atUs) }),
    );
    feed.pump(0, 1, undefined, queue);
    expect(given).toEqual([]);
    feed.on = true;
    for (let tick = 0; tick < 20; tick += 1) feed.pump(0, 1, undefined, queue);
    expect(given.flatMap(({ at }) => at)).toEqual([0, 500_000, 1e6, 1.5e6, 2e6, 2.5e6, 3e6, 3.5e6]);
    for (let tick = 0; tick < 20; tick += 1) feed.pump(1_000_000, 1, undefined, queue);
    expect(given.flatMap(({ at }) => at).slice(8)).toEqual([4e6, 4.5e6]);
    feed.begin();
    given.length = 0;
    feed.pump(4_000_000, 1, queue.shift(), queue);
    for (let tick = 0; tick < 20; tick += 1) feed.pump(4_000_000, 1, undefined, queue);
    // What was heard before the playhead is passed over.
    expect(given[0]?.at[0]).toBe(4_000_000);
    expect(new Set(given.map(({ run }) => run))).toEqual(new Set([1]));
  });

  it("reads nothing at high speeds", () => {
    const core = new FakeCore();
    const queue = queueOf(core);
    const feed = new SoundFeed(core, () => expect.unreachable());
    feed.on = true;
    feed.pump(0, 4, undefined, queue);
  });
});
