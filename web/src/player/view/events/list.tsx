import {
  type KeyboardEvent,
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { useTranslation } from "react-i18next";
import type { RecordingEvent } from "../../../api/types";
import { useZone } from "../../../app/zone";
import { clock, timeOfDay } from "../../../format/time";
import type { Snapshot } from "../../core/messages";
import { type PlayerController, useSnapshot } from "../controller";
import { currentAt, rowsIn } from "./find";
import { eventKind, eventWords } from "./words";

/** Height of a row, as the style sheet has it. */
export const ROW = 48;
/** After scrolling by hand the list stays where it is for so long. */
const REST_MS = 4000;

interface Props {
  player: PlayerController;
  events: readonly RecordingEvent[];
  /** Wall clock at media time 0, milliseconds. */
  startMs: number;
  dayClock: boolean;
  onJump: (us: number) => void;
}

/** The events in order, with the one highlighted that happened last before the playhead. Only rows in view are drawn. */
export function EventList({ player, events, startMs, dayClock, onJump }: Props) {
  const { t } = useTranslation("events");
  const zone = useZone();
  const box = useRef<HTMLDivElement>(null);
  const [scroll, setScroll] = useState({ top: 0, height: 600 });
  const handled = useRef(0);
  const wanted = useRef<number>(undefined);
  const current = useSnapshot(
    player,
    useCallback((s: Snapshot) => currentAt(events, s.positionUs), [events]),
  );
  const [from, to] = rowsIn(events.length, ROW, scroll.top, scroll.height);
  const rows = useMemo(() => events.slice(from, to), [events, from, to]);

  const show = useCallback((index: number) => {
    const element = box.current;
    if (!element || index < 0) return;
    const top = index * ROW;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + ROW > element.scrollTop + element.clientHeight) {
      element.scrollTop = top + ROW - element.clientHeight;
    }
  }, []);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = () =>
      setScroll((before) => {
        const next = { top: element.scrollTop, height: element.clientHeight || before.height };
        return next.top === before.top && next.height === before.height ? before : next;
      });
    measure();
    element.addEventListener("scroll", measure, { passive: true });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => {
      element.removeEventListener("scroll", measure);
      observer.disconnect();
    };
  }, []);

  // The list follows the playhead, unless somebody is looking for something in it.
  useEffect(() => {
    if (performance.now() - handled.current > REST_MS) show(current);
  }, [current, show]);

  // The row that keys have moved to may only just have been drawn.
  useEffect(() => {
    if (wanted.current === undefined) return;
    const row = box.current?.querySelector<HTMLElement>(`[data-index="${wanted.current}"]`);
    if (!row) return;
    wanted.current = undefined;
    row.focus({ preventScroll: true });
  });

  const byHand = () => {
    handled.current = performance.now();
  };
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = Number((event.target as HTMLElement).dataset.index);
    const step = moved(event.key, at, events.length, Math.floor(scroll.height / ROW));
    if (step === undefined) return;
    // The same keys move the playhead and the volume elsewhere.
    event.preventDefault();
    byHand();
    wanted.current = step;
    show(step);
    const row = box.current?.querySelector<HTMLElement>(`[data-index="${step}"]`);
    if (row) {
      wanted.current = undefined;
      row.focus({ preventScroll: true });
    }
  };

  // One row takes the tabulator: the current one, or the first in view.
  const stop = current >= from && current < to ? current : from;
  return (
    <div ref={box} className="events-rows" onWheel={byHand} onPointerDown={byHand} onTouchMove={byHand}>
      <ol style={{ height: events.length * ROW }} onKeyDown={onKeyDown} aria-label={t("title")}>
        {rows.map((event, offset) => {
          const index = from + offset;
          const words = eventWords(t, event);
          return (
            <li
              key={index}
              style={{ top: index * ROW }}
              aria-setsize={events.length}
              aria-posinset={index + 1}
            >
              <button
                type="button"
                className="event"
                data-index={index}
                data-testid="event"
                tabIndex={index === stop ? 0 : -1}
                aria-current={index === current ? "time" : undefined}
                title={words}
                onClick={(press) => {
                  // After a click with the mouse the space bar goes on meaning play and pause.
                  if (press.detail > 0) press.currentTarget.blur();
                  onJump(event.at_us);
                }}
              >
                <span className="event-time">
                  {dayClock ? timeOfDay(new Date(startMs + event.at_us / 1000), zone) : clock(event.at_us)}
                </span>
                <span className="event-words">{words}</span>
                <span className="event-kind quiet">{eventKind(t, event)}</span>
              </button>
            </li>
          );
        })}
      </ol>
    </div>
  );
}

/** The row to which a key leads; undefined when it means nothing here. */
function moved(key: string, at: number, count: number, page: number): number | undefined {
  if (!Number.isInteger(at) || count === 0) return undefined;
  const clamp = (index: number) => Math.min(Math.max(0, index), count - 1);
  switch (key) {
    case "ArrowDown":
      return clamp(at + 1);
    case "ArrowUp":
      return clamp(at - 1);
    case "PageDown":
      return clamp(at + Math.max(1, page));
    case "PageUp":
      return clamp(at - Math.max(1, page));
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return undefined;
  }
}
