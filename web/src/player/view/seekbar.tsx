import { Button } from "antd";
import { type PointerEvent, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { RecordingEvent, Timeline } from "../../api/types";
import { useMode } from "../../app/theme";
import { useZone } from "../../app/zone";
import { clock } from "../../format/time";
import type { Spans } from "../core/messages";
import type { PlayerController } from "./controller";
import { BAR_HEIGHT, type BarContent, drawBar } from "./draw";
import { following, isWhole, panned, usAt, type View, wholeView, zoomed } from "./geometry";
import { type Hover, Preview } from "./preview";
import { Thumbs } from "./thumbs";

interface Props {
  player: PlayerController;
  timeline: Timeline | undefined;
  /** In order. */
  events: readonly RecordingEvent[];
  /** Whether there are any to remember. */
  pictures: boolean;
  /** Wall clock at media time 0, milliseconds. */
  startMs: number;
  dayClock: boolean;
}

/** The bar with everything that is known of a recording's course, by which one seeks. */
export function SeekBar({ player, timeline, events, pictures, startMs, dayClock }: Props) {
  const { t } = useTranslation();
  const mode = useMode();
  const zone = useZone();
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const view = useRef<View>(wholeView(player.snapshot.durationUs));
  const whole = useRef(true);
  const dragUs = useRef<number>(undefined);
  const hoverRef = useRef<Hover>(undefined);
  const [hover, setHover] = useState<Hover>();
  const [zoomedIn, setZoomedIn] = useState(false);
  const gaps = useMemo<Spans>(
    () => timeline?.gaps.map((gap) => [gap.from_us, gap.to_us] as [number, number]) ?? [],
    [timeline],
  );
  const redraw = useRef<() => void>(() => undefined);
  const thumbs = useMemo(() => new Thumbs(player), [player]);
  useEffect(() => (pictures ? thumbs.start() : undefined), [thumbs, pictures]);

  const setView = (next: View) => {
    view.current = next;
    whole.current = isWhole(next, player.snapshot.durationUs);
    setZoomedIn(!whole.current);
    redraw.current();
  };

  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context) return;
    let asked = 0;
    let said = -1;
    const draw = () => {
      asked = 0;
      const { snapshot } = player;
      const positionUs = dragUs.current ?? snapshot.positionUs;
      if (whole.current) view.current = wholeView(snapshot.durationUs);
      else if (dragUs.current === undefined && snapshot.status === "playing") {
        view.current = following(view.current, snapshot.durationUs, positionUs);
      }
      const width = element.clientWidth;
      const scale = window.devicePixelRatio;
      if (element.width !== Math.round(width * scale)) element.width = Math.round(width * scale);
      if (element.height !== Math.round(BAR_HEIGHT * scale)) element.height = Math.round(BAR_HEIGHT * scale);
      const content: BarContent = {
        durationUs: snapshot.durationUs,
        positionUs,
        bufferedUs: snapshot.bufferedUs,
        hoverUs: hoverRef.current?.us,
        buckets: timeline?.buckets ?? [],
        bucketUs: timeline?.bucket_us ?? 0,
        idle: timeline?.idle ?? [],
        gaps,
        events,
        startMs: dayClock ? startMs : undefined,
        zone,
      };
      drawBar(context, width, scale, view.current, content, mode);
      // Whoever listens gets a new value once a second, not sixty times.
      const second = Math.floor(positionUs / 1_000_000);
      if (second !== said && frame.current) {
        said = second;
        frame.current.setAttribute("aria-valuenow", String(second));
        frame.current.setAttribute("aria-valuemax", String(Math.ceil(snapshot.durationUs / 1_000_000)));
        frame.current.setAttribute(
          "aria-valuetext",
          t("player.seekValue", { at: clock(positionUs), total: clock(snapshot.durationUs) }),
        );
      }
    };
    const ask = () => {
      if (asked === 0) asked = requestAnimationFrame(draw);
    };
    redraw.current = ask;
    ask();
    const observer = new ResizeObserver(ask);
    observer.observe(element);
    const unsubscribe = player.subscribe(ask);
    return () => {
      cancelAnimationFrame(asked);
      observer.disconnect();
      unsubscribe();
    };
  }, [player, timeline, gaps, events, mode, dayClock, startMs, zone, t]);

  // React listens to wheels passively, and this one must not scroll the page.
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const onWheel = (event: WheelEvent) => {
      if (event.ctrlKey) return;
      event.preventDefault();
      const { durationUs } = player.snapshot;
      const box = element.getBoundingClientRect();
      const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
      const span = view.current.toUs - view.current.fromUs;
      const next = sideways
        ? panned(view.current, durationUs, ((event.deltaX || event.deltaY) / box.width) * span)
        : zoomed(
            view.current,
            durationUs,
            usAt(event.clientX - box.left, view.current, box.width, durationUs),
            Math.exp(Math.max(-200, Math.min(200, event.deltaY)) * 0.004),
          );
      view.current = next;
      whole.current = isWhole(next, durationUs);
      setZoomedIn(!whole.current);
      redraw.current();
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  }, [player]);

  const place = (event: PointerEvent): Hover => {
    const box = event.currentTarget.getBoundingClientRect();
    const x = Math.min(Math.max(0, event.clientX - box.left), box.width);
    return { x, us: usAt(x, view.current, box.width, player.snapshot.durationUs) };
  };
  const point = (at: Hover | undefined) => {
    hoverRef.current = at;
    setHover(at);
    redraw.current();
  };
  const seek = (us: number, scrub: boolean) => {
    dragUs.current = scrub ? us : undefined;
    player.send({ type: "seek", atUs: us, scrub });
    redraw.current();
  };

  return (
    <div className="seek">
      <div
        ref={frame}
        className="seek-bar"
        role="slider"
        tabIndex={0}
        aria-label={t("player.seekBar")}
        aria-valuemin={0}
        aria-valuenow={0}
        aria-keyshortcuts="ArrowLeft ArrowRight J L Home End 0 1 2 3 4 5 6 7 8 9"
        data-testid="seek-bar"
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          const at = place(event);
          point(at);
          seek(at.us, true);
        }}
        onPointerMove={(event) => {
          const at = place(event);
          point(at);
          if (dragUs.current !== undefined && at.us !== dragUs.current) seek(at.us, true);
        }}
        onPointerUp={(event) => {
          if (dragUs.current === undefined) return;
          seek(place(event).us, false);
        }}
        onPointerCancel={() => {
          if (dragUs.current !== undefined) seek(dragUs.current, false);
          point(undefined);
        }}
        onPointerLeave={() => {
          if (dragUs.current === undefined) point(undefined);
        }}
        onDoubleClick={() => setView(wholeView(player.snapshot.durationUs))}
      >
        <canvas ref={canvas} style={{ height: BAR_HEIGHT }} aria-hidden />
      </div>
      {hover ? (
        <Preview
          hover={hover}
          timeline={timeline}
          events={events}
          pixelUs={(view.current.toUs - view.current.fromUs) / Math.max(1, canvas.current?.clientWidth ?? 1)}
          startMs={startMs}
          dayClock={dayClock}
          thumbs={thumbs}
          width={canvas.current?.clientWidth ?? 0}
        />
      ) : null}
      {zoomedIn ? (
        <Button
          size="small"
          className="seek-reset"
          onClick={() => setView(wholeView(player.snapshot.durationUs))}
        >
          {t("player.resetZoom")}
        </Button>
      ) : null}
    </div>
  );
}
