import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Driver, type Limits } from "./driver";
import { SourceError } from "./source";
import { FakeConsole, makeRecording } from "./testing";

const limits: Limits = {
  bytes: 1200,
  aheadUs: 20_000_000,
  requestBytes: 400,
  leastRequestBytes: 400,
  requestUs: 10_000_000,
  unreadMs: 10_000,
};

function start(seconds: number, live = false) {
  const console = new FakeConsole(makeRecording(seconds, 10, !live), live);
  const ended = vi.fn();
  const driver = new Driver(console.source, () => undefined, ended, live, limits);
  return { console, driver, ended };
}

/** The end as far as the page knows it. */
const END = 3_000_000;

/** Lets streams deliver what they have. */
const settle = () => vi.advanceTimersByTimeAsync(0);

describe("Driver", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("asks by time first, then by number, and ends with the recording", async () => {
    const { console, driver } = start(25);
    driver.open({ atUs: 12_500_000, untilUs: 12_500_000 });
    await settle();
    expect(console.requests).toEqual([{ atUs: 12_500_000, untilUs: 12_500_000 }]);
    // Anchor 0, then 10 to 12; 12 tells everything up to 13 s.
    expect(driver.queue.length).toBe(4);
    expect(driver.state).toBe("idle");

    // Nothing by number before the decoder has said where it is.
    driver.pump(0, 1, END);
    expect(console.requests).toHaveLength(1);
    while (driver.queue.shift()) driver.decoded(12);
    driver.settle();
    for (let seq = 12; seq < 24; ) {
      driver.pump(seq * 1_000_000, 1, END);
      await settle();
      expect(console.requests.at(-1)).toEqual({ afterSeq: seq, maxBytes: 400 });
      expect(driver.queue.length).toBeGreaterThan(0);
      while (driver.queue.shift()) seq += 1;
      driver.decoded(seq);
    }
    driver.pump(24_000_000, 1, END);
    await settle();
    expect(driver.state).toBe("ended");
  });

  it("counts what lies ready when it asks by number, and stays within its limits", async () => {
    const { console, driver } = start(100);
    driver.open({ atUs: 0, untilUs: 0 });
    await settle();
    driver.queue.clear();
    driver.decoded(0);
    driver.settle();
    for (let tick = 0; tick < 50; tick += 1) {
      driver.pump(0, 1, END);
      await settle();
    }
    const after = console.requests.slice(1).map((request) => request.afterSeq);
    expect(after[0]).toBe(0);
    expect(after[1]).toBe(console.fragments.filter((f) => f.seq > 0 && f.seq <= (after[1] ?? 0)).length);
    expect(driver.queue.bytes).toBeGreaterThanOrEqual(limits.bytes);
    expect(driver.queue.bytes).toBeLessThan(limits.bytes + limits.requestBytes + 300);
    const asked = console.requests.length;
    driver.pump(0, 1, END);
    expect(console.requests).toHaveLength(asked);
  });

  it("holds more media time at higher speeds", async () => {
    const roomy = { ...limits, bytes: 1_000_000, requestBytes: 100_000, aheadUs: 5_000_000 };
    const console = new FakeConsole(makeRecording(300, 1000).map((f) => ({ ...f, padding: 20_000 })));
    const driver = new Driver(
      console.source,
      () => undefined,
      () => undefined,
      false,
      roomy,
    );
    driver.open({ atUs: 0, untilUs: 0 });
    await settle();
    driver.queue.clear();
    driver.decoded(0);
    driver.settle();
    const fill = async (rate: number) => {
      for (let tick = 0; tick < 50; tick += 1) {
        driver.pump(0, rate, END);
        await settle();
      }
      return driver.queue.length;
    };
    const slow = await fill(1);
    const fast = await fill(4);
    expect(slow).toBeLessThan(12);
    expect(fast).toBeGreaterThan(slow + 10);
  });

  it("drops everything and aborts when it is opened elsewhere", async () => {
    const { console, driver } = start(5, true);
    driver.open({ atUs: 0, follow: true });
    await settle();
    expect(driver.state).toBe("reading");
    driver.open({ atUs: 3_000_000, follow: true });
    expect(console.aborted).toBe(1);
    expect(driver.queue.length).toBe(0);
    await settle();
    expect(driver.queue.length).toBeGreaterThan(0);
    driver.close();
    expect(console.aborted).toBe(2);
  });

  it("tries again after a failure, sooner first and then later, and says so from the second time on", async () => {
    const { console, driver } = start(5);
    const failure = new SourceError({ kind: "connection", detail: "gone" }, true);
    console.failure = failure;
    driver.open({ atUs: 0, untilUs: 0 });
    await settle();
    expect(driver.state).toBe("waiting");
    expect(driver.trouble).toBeUndefined();
    console.failure = failure;
    await vi.advanceTimersByTimeAsync(400);
    expect(driver.trouble?.detail).toBe("gone");
    await vi.advanceTimersByTimeAsync(799);
    expect(console.requests).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(console.requests).toHaveLength(3);
    expect(driver.queue.length).toBeGreaterThan(0);
    expect(driver.trouble).toBeUndefined();
    expect(driver.restarts).toBe(2);
  });

  it("waits as long as the console asks for", async () => {
    const { console, driver } = start(5);
    console.failure = new SourceError({ kind: "connection", detail: "busy" }, true, 7000);
    driver.open({ atUs: 0, untilUs: 0 });
    await vi.advanceTimersByTimeAsync(6999);
    expect(console.requests).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(console.requests).toHaveLength(2);
  });

  it("gives up on a refusal until it is asked again", async () => {
    const { console, driver } = start(5);
    console.failure = new SourceError({ kind: "refused", detail: "no", httpStatus: 403 }, false);
    driver.open({ atUs: 0, untilUs: 0 });
    await vi.advanceTimersByTimeAsync(60_000);
    expect([driver.state, driver.trouble?.detail]).toEqual(["failed", "no"]);
    expect(console.requests).toHaveLength(1);
    driver.retry();
    await settle();
    expect(driver.queue.length).toBeGreaterThan(0);
  });

  it("keeps a live stream open, gives it back when nobody reads, and takes it up again", async () => {
    const { console, driver } = start(3, true);
    driver.open({ atUs: 0, untilUs: 0 });
    await settle();
    while (driver.queue.shift()) driver.decoded(0);
    driver.settle();
    driver.pump(0, 1, END);
    await settle();
    expect(console.requests.at(-1)).toEqual({ afterSeq: 0, follow: true });
    for (let seq = 3; seq < 40; seq += 1) {
      console.add({ ...makeRecording(40, 10, false)[seq], padding: 100 } as never);
    }
    await settle();
    expect(driver.queue.bytes).toBeLessThan(limits.bytes + 400);
    expect(driver.state).toBe("reading");
    await vi.advanceTimersByTimeAsync(limits.unreadMs + 1);
    expect(driver.state).toBe("idle");
    const held = driver.queue.length;
    while (driver.queue.shift()) driver.decoded(held);
    driver.pump(held * 1_000_000, 1, END);
    expect(console.requests.at(-1)).toEqual({ afterSeq: held, follow: true });
  });

  it("tells that a live stream ended, and asks again until the page knows why", async () => {
    const { console, driver, ended } = start(1, true);
    driver.open({ atUs: 0, follow: true });
    await settle();
    driver.queue.clear();
    driver.decoded(0);
    driver.settle();
    console.endStreams();
    await settle();
    expect(ended).toHaveBeenCalledOnce();
    driver.live = false;
    driver.pump(1_000_000, 1, END);
    await settle();
    expect(driver.state).toBe("ended");
  });

  it("waits for the first picture of a recording that has just begun", async () => {
    const console = new FakeConsole([], true);
    const driver = new Driver(
      console.source,
      () => undefined,
      () => undefined,
      true,
      limits,
    );
    driver.open({ atUs: 0, follow: true });
    await settle();
    expect([driver.state, driver.trouble]).toEqual(["waiting", undefined]);
    console.add(makeRecording(1, 10, false)[0] as never);
    await vi.advanceTimersByTimeAsync(400);
    expect(driver.queue.length).toBe(1);
  });
});
