import { COLOURS, type Mode } from "../../app/theme";
import { clock, timeOfDay, type Zone } from "../../format/time";
import type { Spans } from "../core/messages";
import { activityIn, marksIn, ticks, type View, xOf } from "./geometry";

/** What the seek bar shows. Times are media time in microseconds. */
export interface BarContent {
  durationUs: number;
  positionUs: number;
  bufferedUs: number;
  hoverUs: number | undefined;
  /** Activity from 0 to 255 of each stretch of `bucketUs`. */
  buckets: readonly number[];
  bucketUs: number;
  idle: Spans;
  gaps: Spans;
  /** In order. */
  events: readonly { at_us: number }[];
  /** Wall clock at media time 0, milliseconds; undefined: labels count from the start. */
  startMs: number | undefined;
  /** The zone of such labels. */
  zone: Zone;
}

export const BAR_HEIGHT = 56;
const LABELS = 14;
const TRACK = 6;
const STRIP = BAR_HEIGHT - LABELS - TRACK;

/** Paints the whole bar. `scale` is device pixels for one of the page. */
export function drawBar(
  context: CanvasRenderingContext2D,
  width: number,
  scale: number,
  view: View,
  content: BarContent,
  mode: Mode,
): void {
  const colours = COLOURS[mode];
  const x = (us: number) => xOf(us, view, width);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, BAR_HEIGHT);

  context.fillStyle = colours.hover;
  context.fillRect(0, 0, width, STRIP);
  activity(context, width, view, content, colours.link);
  for (const [from, to] of content.idle) {
    hatch(context, x(from), x(to), width, STRIP, colours.quiet, 0.35, 6);
  }
  for (const [from, to] of content.gaps) gap(context, x(from), x(to), width, colours.warn, colours.panel);

  marks(context, width, view, content.events, colours.warn, colours.panel);

  // The track: all, what lies ready, what was played.
  context.fillStyle = colours.line;
  context.fillRect(0, STRIP, width, TRACK);
  bar(context, x(0), x(content.bufferedUs), width, colours.quiet, 0.55);
  bar(context, x(0), x(content.positionUs), width, colours.link, 1);

  labels(context, width, view, content, colours.quiet);
  if (content.hoverUs !== undefined) line(context, x(content.hoverUs), colours.quiet, 1);
  const head = x(content.positionUs);
  line(context, head, colours.text, 2);
  context.fillStyle = colours.text;
  context.beginPath();
  context.arc(head, STRIP + TRACK / 2, 6, 0, 2 * Math.PI);
  context.fill();
}

/** One column for each pixel: the highest activity that falls on it. */
function activity(
  context: CanvasRenderingContext2D,
  width: number,
  view: View,
  { buckets, bucketUs, durationUs }: BarContent,
  colour: string,
): void {
  if (buckets.length === 0 || bucketUs <= 0) return;
  context.fillStyle = colour;
  context.globalAlpha = 0.75;
  const perPixel = (view.toUs - view.fromUs) / width;
  for (let column = 0; column < width; column += 1) {
    const fromUs = view.fromUs + column * perPixel;
    if (fromUs >= durationUs) break;
    const most = activityIn(buckets, bucketUs, fromUs, fromUs + perPixel);
    // The root keeps little activity visible beside much.
    const height = Math.round(Math.sqrt(Math.min(most, 255) / 255) * (STRIP - 4));
    if (height > 0) context.fillRect(column, STRIP - height, 1, height);
  }
  context.globalAlpha = 1;
}

function hatch(
  context: CanvasRenderingContext2D,
  fromX: number,
  toX: number,
  width: number,
  height: number,
  colour: string,
  alpha: number,
  apart: number,
): void {
  const from = Math.max(0, fromX);
  const to = Math.min(width, toX);
  if (to - from < 2) return;
  context.save();
  context.beginPath();
  context.rect(from, 0, to - from, height);
  context.clip();
  context.globalAlpha = alpha;
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  for (let at = Math.floor((from - height) / apart) * apart; at < to; at += apart) {
    context.moveTo(at, height);
    context.lineTo(at + height, 0);
  }
  context.stroke();
  context.restore();
}

/** A mark for each event, at the top: several at one place are one. */
function marks(
  context: CanvasRenderingContext2D,
  width: number,
  view: View,
  events: readonly { at_us: number }[],
  colour: string,
  ground: string,
): void {
  for (const x of marksIn(events, view, width)) {
    context.fillStyle = ground;
    context.fillRect(x - 2, 0, 5, 12);
    context.fillStyle = colour;
    context.fillRect(x - 1, 0, 3, 11);
  }
}

/** Nothing is recorded here: an emptied stretch between two edges, crossed twice, so that it is no idle time. */
function gap(
  context: CanvasRenderingContext2D,
  fromX: number,
  toX: number,
  width: number,
  colour: string,
  ground: string,
): void {
  if (toX < 0 || fromX > width) return;
  const from = Math.max(0, fromX);
  const to = Math.max(from + 3, Math.min(width, toX));
  context.fillStyle = ground;
  context.fillRect(from, 0, to - from, STRIP);
  hatch(context, from, to, width, STRIP, colour, 0.9, 8);
  context.save();
  context.scale(1, -1);
  context.translate(0, -STRIP);
  hatch(context, from, to, width, STRIP, colour, 0.9, 8);
  context.restore();
  context.fillStyle = colour;
  context.fillRect(from, 0, 1.5, STRIP);
  context.fillRect(to - 1.5, 0, 1.5, STRIP);
}

function bar(
  context: CanvasRenderingContext2D,
  fromX: number,
  toX: number,
  width: number,
  colour: string,
  alpha: number,
): void {
  const from = Math.max(0, fromX);
  const to = Math.min(width, toX);
  if (to <= from) return;
  context.globalAlpha = alpha;
  context.fillStyle = colour;
  context.fillRect(from, STRIP, to - from, TRACK);
  context.globalAlpha = 1;
}

function line(context: CanvasRenderingContext2D, x: number, colour: string, width: number): void {
  context.fillStyle = colour;
  context.fillRect(x - width / 2, 0, width, STRIP + TRACK);
}

function labels(
  context: CanvasRenderingContext2D,
  width: number,
  view: View,
  content: BarContent,
  colour: string,
): void {
  context.fillStyle = colour;
  context.font = "11px 'Inter Variable', system-ui, sans-serif";
  context.textBaseline = "bottom";
  for (const at of ticks(view, width, 96)) {
    const x = xOf(at, view, width);
    const { startMs, zone } = content;
    const text = startMs === undefined ? clock(at) : timeOfDay(new Date(startMs + at / 1000), zone);
    const half = context.measureText(text).width / 2;
    context.fillText(text, Math.min(Math.max(0, x - half), width - 2 * half), BAR_HEIGHT);
  }
}
