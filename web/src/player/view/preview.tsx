import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import type { RecordingEvent, Timeline } from "../../api/types";
import { useZone } from "../../app/zone";
import { clock, timeOfDay } from "../../format/time";
import { spanAt } from "../core/idle";
import { currentAt } from "./events/find";
import { eventWords } from "./events/words";
import { activityIn, activityWord } from "./geometry";
import { THUMB_WIDTH, type Thumbs } from "./thumbs";

/** A place on the bar, and the media time there. */
export interface Hover {
  x: number;
  us: number;
}

interface Props {
  hover: Hover;
  timeline: Timeline | undefined;
  /** In order. */
  events: readonly RecordingEvent[];
  /** What a pixel of the bar stands for, microseconds. */
  pixelUs: number;
  /** Wall clock at media time 0, milliseconds. */
  startMs: number;
  dayClock: boolean;
  thumbs: Thumbs;
  /** Of the bar. */
  width: number;
}

/** What is at the place under the pointer: both clocks, how much happens there, and how it looked, once it was seen. */
export function Preview({ hover, timeline, events, pixelUs, startMs, dayClock, thumbs, width }: Props) {
  const { t } = useTranslation();
  const { t: words } = useTranslation("events");
  const zone = useZone();
  const canvas = useRef<HTMLCanvasElement>(null);
  const thumb = thumbs.near(hover.us);
  useEffect(() => {
    const element = canvas.current;
    if (!element || !thumb) return;
    element.width = thumb.picture.width;
    element.height = thumb.picture.height;
    element.getContext("2d")?.drawImage(thumb.picture, 0, 0);
  }, [thumb]);

  // A mark is three pixels wide, and nobody meets one exactly.
  const before = events[currentAt(events, hover.us + 4 * pixelUs)];
  const event = before && before.at_us >= hover.us - 4 * pixelUs ? before : undefined;
  const media = clock(hover.us, true);
  const day = timeOfDay(new Date(startMs + hover.us / 1000), zone);
  // Kept within the bar: at its ends the box stays where it is.
  const half = Math.min((thumb ? THUMB_WIDTH : 150) / 2 + 8, width / 2);
  const left = Math.min(Math.max(half, hover.x), width - half);
  return (
    <div className="seek-hover" style={{ left }} data-testid="preview">
      {thumb ? (
        <figure className="seek-thumb">
          <canvas ref={canvas} aria-hidden />
          {/* It was not made for this very place, and must not be taken for it. */}
          <figcaption>{t("player.hover.seen", { at: clock(thumb.us, true) })}</figcaption>
        </figure>
      ) : null}
      <div>
        <b>{dayClock ? day : media}</b> <span className="seek-hover-other">{dayClock ? media : day}</span>
      </div>
      <div className="seek-hover-other">
        <What us={hover.us} timeline={timeline} />
      </div>
      {event ? <div className="seek-hover-event">{eventWords(words, event)}</div> : null}
    </div>
  );
}

function What({ us, timeline }: { us: number; timeline: Timeline | undefined }) {
  const { t } = useTranslation();
  if (!timeline) return null;
  const gap = timeline.gaps.find((span) => us >= span.from_us && us < span.to_us);
  if (gap) {
    const cause = t(`causes.${gap.cause as "queue-full"}`, { defaultValue: gap.cause });
    return t("player.hover.gap", { cause });
  }
  if (spanAt(timeline.idle, us) !== undefined) return t("player.hover.idle");
  const activity = activityIn(timeline.buckets, timeline.bucket_us, us, us + 1);
  return t(`player.activity.${activityWord(activity)}`);
}
