/** The player's worker: fetches, decodes and paints, so that nothing of it can hold up the page. */
import { Engine } from "./engine";
import type { Command, Report } from "./messages";
import { CanvasPainter } from "./painter";
import { errorText, httpSource } from "./source";
import { VideoLayer } from "./video";
import { loadCore } from "./wasm";

let engine: Engine | undefined;
let waiting: Command[] = [];

self.onmessage = (event: MessageEvent<Command>) => {
  const command = event.data;
  if (command.type === "open") void open(command);
  else if (engine) engine.command(command);
  else waiting.push(command);
  if (command.type === "close") self.close();
};

async function open(command: Extract<Command, { type: "open" }>): Promise<void> {
  try {
    const core = await loadCore(command.core);
    engine = new Engine(
      {
        core,
        painter: new CanvasPainter(command.canvas),
        source: httpSource(command.recording.url, (input, init) => fetch(input, init)),
        report: (report, transfer) => postMessage(report satisfies Report, { transfer: transfer ?? [] }),
        now: () => performance.now(),
        wall: () => Date.now(),
        video: new VideoLayer(),
        originMs: performance.timeOrigin,
      },
      command.recording,
    );
    for (const early of waiting) engine.command(early);
    waiting = [];
    await engine.run();
  } catch (error) {
    postMessage({ type: "broken", detail: errorText(error) } satisfies Report);
  }
}
