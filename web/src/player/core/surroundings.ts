import type { Core } from "./core";
import type { Limits } from "./driver";
import type { Report } from "./messages";
import type { Painter } from "./painter";
import type { FragmentSource } from "./source";
import type { VideoLayer } from "./video";

/** What the engine needs from its surroundings; tests put their own in. */
export interface Surroundings {
  core: Core;
  painter: Painter;
  source: FragmentSource;
  report: (report: Report, transfer?: Transferable[]) => void;
  /** A clock that never steps back, milliseconds. */
  now: () => number;
  /** Wall clock, milliseconds since the Unix epoch. */
  wall: () => number;
  /** What added to `now` gives a time that the page can compare with its own, milliseconds. */
  originMs?: number;
  limits?: Limits;
  /** Where there is none, nothing is shown of a recording's video. */
  video?: VideoLayer;
}
