import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Engine } from "./engine";
import type { OpenRecording, Report, Snapshot } from "./messages";
import { SourceError } from "./source";
import { encodeFragment, FakeConsole, FakeCore, type FakeFragment, makeRecording } from "./testing";

const S = 1_000_000;

interface Options extends Partial<OpenRecording> {
  fragments?: FakeFragment[];
  /** How long the browser takes to show a picture. */
  shownMs?: number;
}

function start({ fragments = makeRecording(60), shownMs = 30, ...rest }: Options = {}) {
  const console = new FakeConsole(fragments, rest.live ?? false);
  const core = new FakeCore();
  const reports: Report[] = [];
  const engine = new Engine(
    {
      core,
      painter: {
        paint: () => undefined,
        paintVideo: () => undefined,
        shown: (then) => void setTimeout(then, shownMs),
      },
      source: console.source,
      report: (report) => reports.push(report),
      now: () => Date.now(),
      wall: () => Date.now(),
    },
    {
      url: "",
      live: false,
      durationUs: fragments.at(-1)?.endUs ?? 0,
      startedAtUs: 0,
      atUs: undefined,
      play: true,
      skipIdle: true,
      rate: 1,
      ...rest,
    },
  );
  void engine.run();
  const last = (): Snapshot => {
    const report = reports.findLast((item) => item.type === "snapshot");
    if (report?.type !== "snapshot") throw new Error("nothing told yet");
    return report.snapshot;
  };
  return { engine, console, core, reports, last };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe("Engine, a finished recording", () => {
  beforeEach(() => void vi.useFakeTimers({ now: 0 }));
  afterEach(() => void vi.useRealTimers());

  it("plays in time, paints what the time has come for, and stops at the end", async () => {
    const { core, last } = start();
    await pass(10_500);
    expect(last().positionUs).toBeGreaterThan(10.2 * S);
    expect(last().positionUs).toBeLessThan(10.6 * S);
    expect(core.shownUs).toBe(10 * S);
    expect(last().paintedUs).toBeGreaterThan(10 * S);
    await pass(51_000);
    expect([last().status, last().positionUs]).toEqual(["ended", 60 * S]);
    expect(core.played).toEqual(makeRecording(60).map((fragment) => fragment.seq));
    expect(last().chainOk).toBe(true);
  });

  it("plays 16 times as fast without painting every picture", async () => {
    const dense = makeRecording(60).map((f) => ({
      ...f,
      pictures: Array.from({ length: 30 }, (_, at) => f.startUs + Math.floor((at * S) / 30)),
    }));
    const { engine, last } = start({ fragments: dense });
    await pass(50);
    engine.command({ type: "rate", rate: 16 });
    await pass(4000);
    expect(last().status).toBe("ended");
    expect(last().pictures).toBeLessThan(400);
  });

  it("does not pile up pictures that the browser has not shown yet, and paints the last one all the same", async () => {
    const { engine, core, last } = start({ shownMs: 1000, rate: 16, skipIdle: false });
    await pass(3000);
    expect(last().positionUs).toBeGreaterThan(40 * S);
    // Two under way at a time for three seconds, and those before play began.
    expect(last().pictures).toBeLessThan(10);
    engine.command({ type: "pause" });
    await pass(1100);
    expect(core.shownUs).toBe(Math.floor(last().positionUs / S) * S);
    expect([last().status, last().paintedUs]).toEqual(["paused", last().positionUs]);
  });

  it("seeks with one bounded request, exactly, and paints once", async () => {
    const { engine, console, core, last } = start({ play: false, atUs: 0 });
    await pass(100);
    const painted = last().pictures;
    engine.command({ type: "seek", atUs: 37.4 * S, scrub: false });
    await pass(100);
    expect(console.requests.at(-1)).toEqual({ atUs: 37.4 * S, untilUs: 37.4 * S, anchorSeq: 0 });
    expect(core.shownUs).toBe(37 * S);
    expect([last().status, last().positionUs, last().paintedUs]).toEqual(["paused", 37.4 * S, 37.4 * S]);
    expect(last().pictures).toBe(painted + 1);
    expect(core.played.slice(-8)).toEqual([30, 31, 32, 33, 34, 35, 36, 37]);
    expect(last().seeks.at(-1)).toMatchObject({ at_us: 37.4 * S });
    expect(last().seeks.at(-1)?.bytes).toBeGreaterThan(0);
    expect(last().chainOk).toBe(true);
    // Paused, nothing more is fetched.
    await pass(5000);
    expect(console.requests).toHaveLength(2);
  });

  it("fetches the anchor when it holds none, and does not take its place in the chain", async () => {
    const { console, core, last } = start({ play: false, atUs: 37 * S });
    await pass(100);
    expect(console.requests).toEqual([{ atUs: 37 * S, untilUs: 37 * S, anchorSeq: undefined }]);
    expect(core.played[0]).toBe(0);
    expect(core.shownUs).toBe(37 * S);
    expect(last().chainOk).toBe(true);
  });

  it("knows an anchor again that a later segment repeats, and never shows it for the picture", async () => {
    // A segment of 30 s, then one that repeats its anchor: alone, at one moment, with the key frame at the same moment.
    const before = makeRecording(30, 10, false);
    const at = 30 * S;
    const repeated = { seq: 30, startUs: at, endUs: at, flags: 39, anchorSeq: 0, pictures: [] };
    const after = makeRecording(60).slice(30);
    const moved = after.map((f) => ({
      ...f,
      seq: f.seq + 1,
      flags: f.startUs === at ? f.flags | 1 : f.flags,
    }));
    const { engine, console, core, last } = start({
      fragments: [...before, repeated, ...moved],
      play: false,
      atUs: 55 * S,
    });
    await pass(100);
    // The nearest one that has it came, and stands for the first.
    expect(core.anchorSeq()).toBe(0);
    expect(core.shownUs).toBe(55 * S);
    const visit = async (to: number) => {
      const received = last().bytes;
      engine.command({ type: "seek", atUs: to * S, scrub: false });
      await pass(100);
      expect(core.shownUs).toBe(to * S);
      expect([last().chainOk, last().troubles]).toEqual([true, []]);
      expect(console.requests.at(-1)).toMatchObject({ atUs: to * S, anchorSeq: 0 });
      return last().bytes - received;
    };
    expect(await visit(29)).toBeLessThan(10 * encodeFragment(before[29] as FakeFragment).length + 100);
    expect(await visit(30)).toBeLessThan(2 * encodeFragment(before[29] as FakeFragment).length);
    engine.command({ type: "seek", atUs: 28 * S, scrub: false });
    engine.command({ type: "play" });
    await pass(4000);
    expect(core.shownUs).toBeGreaterThan(31 * S);
    expect([last().chainOk, last().troubles]).toEqual([true, []]);
  });

  it("does not fetch an anchor again that it has met", async () => {
    // Segments of 20 s, each with an anchor of its own.
    const fragments = makeRecording(60).map((f) => {
      const anchorSeq = f.seq - (f.seq % 20);
      return { ...f, anchorSeq, flags: f.seq === anchorSeq ? f.flags | 3 : f.flags };
    });
    const { engine, console, core, last } = start({ fragments, play: false, atUs: 15 * S });
    await pass(100);
    const visit = async (at: number) => {
      engine.command({ type: "seek", atUs: at * S, scrub: false });
      await pass(100);
      expect(core.shownUs).toBe(at * S);
      expect(last().chainOk).toBe(true);
      expect(last().troubles).toEqual([]);
      return [console.requests.at(-1)?.anchorSeq, core.anchorSeq()];
    };
    // First visits guess wrong and get the right one; later ones know.
    expect(await visit(35)).toEqual([0, 20]);
    expect(await visit(17)).toEqual([0, 0]);
    const { length } = core.played;
    expect(await visit(55)).toEqual([20, 40]);
    expect(core.played.slice(length), "a wrong guess costs no decoding").not.toContain(20);
    expect(await visit(16)).toEqual([0, 0]);
    expect(await visit(36)).toEqual([20, 20]);
    expect(await visit(14)).toEqual([0, 0]);
    // Within the fragments right after the anchor, too.
    expect((await visit(20))[1]).toBe(20);
    expect((await visit(21))[1]).toBe(20);
    expect((await visit(40))[1]).toBe(40);
    engine.command({ type: "play" });
    await pass(3000);
    expect(core.shownUs).toBeGreaterThanOrEqual(42 * S);
    expect(last().chainOk).toBe(true);
  });

  it("goes on from a seek while playing, without a hole or a repetition", async () => {
    const { engine, core, last } = start();
    await pass(500);
    engine.command({ type: "seek", atUs: 42 * S, scrub: false });
    await pass(5000);
    expect(last().positionUs).toBeGreaterThan(46.5 * S);
    const from = core.played.lastIndexOf(40);
    expect(core.played.slice(from)).toEqual([40, 41, 42, 43, 44, 45, 46]);
    expect(last().troubles).toEqual([]);
  });

  it("moves within what lies ready without a request", async () => {
    const { engine, console, last } = start();
    await pass(1000);
    const asked = console.requests.filter((request) => request.atUs !== undefined).length;
    engine.command({ type: "seek", atUs: 12 * S, scrub: false });
    await pass(100);
    expect(last().positionUs).toBeGreaterThanOrEqual(12 * S);
    expect(console.requests.filter((request) => request.atUs !== undefined)).toHaveLength(asked);
  });

  it("keeps only the latest of many wishes", async () => {
    const { engine, console, last } = start({ play: false, atUs: 0 });
    await pass(100);
    for (let at = 5; at <= 50; at += 1) engine.command({ type: "seek", atUs: at * S, scrub: true });
    await pass(200);
    expect(console.requests.length).toBeLessThan(4);
    expect([last().positionUs, last().paintedUs]).toEqual([50 * S, 50 * S]);
  });

  it("jumps over idle time and says so", async () => {
    const fragments = makeRecording(60).filter((f) => f.startUs < 5 * S || f.startUs >= 40 * S);
    fragments.forEach((fragment, seq) => {
      fragment.seq = seq;
    });
    const { engine, reports, last, core } = start({ fragments });
    engine.command({ type: "idle", spans: [[5 * S, 40 * S]] });
    await pass(8000);
    expect(reports.find((report) => report.type === "skipped")).toMatchObject({ toUs: 39.5 * S });
    expect(last().positionUs).toBeGreaterThan(40.5 * S);
    expect(core.shownUs).toBeGreaterThanOrEqual(40 * S);
  });

  it("does not jump when told not to", async () => {
    const { engine, reports, last } = start({ skipIdle: false });
    engine.command({ type: "idle", spans: [[5 * S, 40 * S]] });
    await pass(8000);
    expect(reports.some((report) => report.type === "skipped")).toBe(false);
    expect(last().positionUs).toBeLessThan(8.2 * S);
  });

  it("shows the nearest picture for a time outside, and tells", async () => {
    for (const [atUs, shown] of [
      [-5 * S, 0],
      [100 * S, 60 * S],
    ] as const) {
      const { last } = start({ play: false, atUs });
      await pass(100);
      expect(last().positionUs).toBe(shown);
      expect(last().troubles).toEqual([{ kind: "outside", detail: "", atUs }]);
    }
  });

  it("steps over a damaged fragment and goes on at the next key frame", async () => {
    const fragments = makeRecording(40);
    (fragments[13] as FakeFragment).damaged = true;
    const { core, last } = start({ fragments });
    await pass(23_900);
    expect(core.played).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 20, 21, 22, 23]);
    expect(last().troubles).toEqual([
      { kind: "damaged", detail: "the fragment cannot be decompressed", atUs: 13 * S },
    ]);
    await pass(20_000);
    expect(last().status).toBe("ended");
  });

  it("looks for a later key frame when the one it was sent to is damaged", async () => {
    const fragments = makeRecording(40);
    (fragments[10] as FakeFragment).damaged = true;
    const { last, core } = start({ fragments, play: false, atUs: 12 * S });
    await pass(500);
    expect(core.shownUs).toBeGreaterThanOrEqual(20 * S);
    expect(last().troubles[0]).toMatchObject({ kind: "damaged", atUs: 10 * S });
  });

  it("waits for data that is late, and holds the clock meanwhile", async () => {
    const { engine, console, last } = start({
      fragments: makeRecording(600).map((f) => ({ ...f, padding: 20_000 })),
    });
    await pass(1000);
    engine.command({ type: "seek", atUs: 400 * S, scrub: false });
    console.failure = new SourceError({ kind: "connection", detail: "gone" }, true);
    await pass(350);
    expect(last().status).toBe("seeking");
    await pass(2000);
    expect(last().status).toBe("playing");
    expect(last().positionUs).toBeGreaterThan(400 * S);
  });

  it("tells why it was refused, and plays after another try", async () => {
    const { engine, console, last } = start({ play: false, atUs: 0 });
    await pass(100);
    console.failure = new SourceError({ kind: "refused", detail: "no", httpStatus: 403, id: "e1" }, false);
    engine.command({ type: "seek", atUs: 30 * S, scrub: false });
    await pass(300);
    expect(last().troubles).toEqual([{ kind: "refused", detail: "no", httpStatus: 403, id: "e1" }]);
    engine.command({ type: "retry" });
    await pass(300);
    expect(last().troubles).toEqual([]);
    expect(last().paintedUs).toBe(30 * S);
  });

  it("steps from picture to picture, both ways", async () => {
    const fragments = makeRecording(20).map((f) => ({ ...f, pictures: [f.startUs, f.startUs + 400_000] }));
    const { engine, core, last } = start({ fragments, play: false, atUs: 12.5 * S });
    await pass(200);
    expect(core.shownUs).toBe(12.4 * S);
    engine.command({ type: "step", direction: 1 });
    await pass(500);
    expect(core.shownUs).toBe(13 * S);
    engine.command({ type: "step", direction: -1 });
    await pass(1000);
    expect(core.shownUs).toBe(12.4 * S);
    engine.command({ type: "step", direction: -1 });
    await pass(1000);
    expect(core.shownUs).toBe(12 * S);
    expect(last().status).toBe("paused");
  });

  it("plays from the start again after the end", async () => {
    const { engine, last, core } = start({ atUs: 58 * S });
    await pass(4000);
    expect(last().status).toBe("ended");
    engine.command({ type: "play" });
    await pass(1500);
    expect(last().status).toBe("playing");
    expect(core.shownUs).toBe(1 * S);
  });

  it("keeps little, however long it plays", async () => {
    const { engine, last, console } = start({
      fragments: makeRecording(3600, 10).map((f) => ({ ...f, padding: 30_000 })),
    });
    engine.command({ type: "rate", rate: 16 });
    let most = 0;
    for (let second = 0; second < 220; second += 1) {
      await pass(1000);
      most = Math.max(most, last().bufferBytes);
    }
    expect(last().positionUs).toBeGreaterThan(3400 * S);
    expect(most).toBeLessThan(11 * 1024 * 1024);
    expect(console.requests.every((request) => !request.follow)).toBe(true);
  }, 30_000);
});

describe("Engine, a live recording", () => {
  beforeEach(() => void vi.useFakeTimers({ now: 0 }));
  afterEach(() => void vi.useRealTimers());

  function live(seconds: number, options: Options = {}) {
    const fragments = makeRecording(seconds, 10, false);
    const started = start({ fragments, live: true, startedAtUs: -seconds * S, ...options });
    const add = (lengthUs = 200_000, extra: Partial<FakeFragment> = {}) => {
      const before = started.console.fragments.at(-1) as FakeFragment;
      started.console.add({
        seq: before.seq + 1,
        startUs: before.endUs,
        endUs: before.endUs + lengthUs,
        flags: 0,
        anchorSeq: 0,
        pictures: [before.endUs],
        ...extra,
      });
    };
    const run = async (fragments: number) => {
      for (let count = 0; count < fragments; count += 1) {
        await pass(200);
        add();
      }
    };
    return { ...started, add, run };
  }

  it("begins at the live end and stays about a fragment behind what comes", async () => {
    const { console, last, core, run } = live(30);
    await pass(200);
    expect(console.requests[0]).toEqual({ atUs: 30 * S, anchorSeq: undefined, follow: true });
    expect(core.shownUs).toBe(29 * S);
    expect(last().following).toBe(true);
    await run(20);
    await pass(50);
    const edge = console.fragments.at(-1)?.endUs ?? 0;
    expect(edge - last().positionUs).toBeLessThan(450_000);
    expect(last().delayMs).toBeGreaterThan(0);
    expect(last().delayMs).toBeLessThan(700);
    expect(last().chainOk).toBe(true);
  });

  it("jumps to the end when much comes at once", async () => {
    const { add, last, core } = live(10);
    await pass(300);
    for (let count = 0; count < 30; count += 1) add();
    await pass(100);
    expect(core.shownUs).toBeGreaterThan(15 * S);
    expect(last().following).toBe(true);
  });

  it("can go back, and to the end again", async () => {
    const { engine, last, core, run } = live(60);
    await pass(200);
    engine.command({ type: "seek", atUs: 20 * S, scrub: false });
    await pass(1000);
    expect(last().following).toBe(false);
    expect(core.shownUs).toBeLessThanOrEqual(21 * S);
    await run(10);
    engine.command({ type: "live", durationUs: 62 * S });
    await run(10);
    await pass(100);
    expect(last().following).toBe(true);
    expect(core.shownUs).toBeGreaterThan(63 * S);
  });

  it("is live again when play catches up with the end", async () => {
    const { engine, last, run } = live(60);
    await pass(200);
    engine.command({ type: "seek", atUs: 50 * S, scrub: false });
    engine.command({ type: "rate", rate: 8 });
    await run(15);
    expect([last().following, last().rate]).toEqual([true, 1]);
  });

  it("takes up the stream after a break, without a hole", async () => {
    const { console, core, run, last } = live(5);
    await pass(300);
    await run(3);
    console.endStreams();
    await run(15);
    await pass(300);
    const played = core.played.slice(core.played.indexOf(4));
    expect(played).toEqual(played.map((_, at) => at + 4));
    expect(played.length).toBeGreaterThan(14);
    expect(last().troubles).toEqual([]);
  });

  it("ends when the recording does", async () => {
    const { console, add, engine, last, reports } = live(5);
    await pass(300);
    add(200_000, { flags: 8 });
    console.live = false;
    await pass(50);
    console.endStreams();
    await pass(50);
    expect(reports.some((report) => report.type === "stream-ended")).toBe(true);
    engine.command({ type: "update", live: false, durationUs: 5.2 * S });
    await pass(2000);
    expect([last().status, last().positionUs, last().live]).toEqual(["ended", 5.2 * S, false]);
  });

  it("shows the first picture of a session that has just begun", async () => {
    const { console, last } = start({ fragments: [], live: true, durationUs: 0 });
    await pass(500);
    expect(last().status).toBe("loading");
    console.add(makeRecording(1, 10, false)[0] as FakeFragment);
    await pass(1500);
    expect(last().paintedUs).toBeGreaterThanOrEqual(0);
    expect(last().following).toBe(true);
  });
});
