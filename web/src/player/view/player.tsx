import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Recording, Timeline } from "../../api/types";
import { useCopy } from "../../app/copy";
import { typing } from "../../app/keyboard";
import { useNotes } from "../../app/notes";
import { useStored } from "../../app/store";
import { addressSeconds, clock, dateTime, duration } from "../../format/time";
import { joinSpans } from "../core/idle";
import type { Snapshot, Spans } from "../core/messages";
import { saveScreenshot, togglePictureInPicture } from "./capture";
import { PlayerController, useSnapshot } from "./controller";
import { Controls } from "./controls";
import { useEvents } from "./events/feed";
import { EventPane } from "./events/pane";
import { type Action, actionOf, nextRate } from "./keys";
import { MaskNote } from "./masks";
import { monitorsIn, nextMonitor, type Part } from "./monitors";
import { Overlay } from "./overlay";
import "./player.css";
import { SeekBar } from "./seekbar";
import { SoundHint } from "./sound/control";
import { type Loudness, readSound } from "./sound/stored";
import { Stage } from "./stage";
import { Stats } from "./stats";

const Help = lazy(() => import("./help").then((module) => ({ default: module.Help })));

interface Props {
  recording: Recording;
  timeline: Timeline | undefined;
  /** Where to begin, microseconds; it may lie outside of the recording. */
  startUs: number | undefined;
  /** Asks the console how the recording stands now. */
  onRefresh: () => Promise<Recording | undefined>;
  /** The monitor to show alone, as the address names it. */
  monitor: string | undefined;
  onMonitor: (name: string | undefined) => void;
  /** Whether the events stand beside the picture. */
  events: boolean;
  onEvents: (open: boolean) => void;
  /** Told where the viewer has stopped, so that the address can say it. */
  onRest: (us: number | undefined) => void;
}

export function Player(props: Props) {
  const [player, setPlayer] = useState<PlayerController>();
  const [skipIdle, setSkipIdle] = useStored("playhead.skip-idle", (stored) => stored !== false);
  const [sound, setSound] = useStored("playhead.sound", readSound);
  const begin = useRef({ ...props, skipIdle, sound });

  useEffect(() => {
    const { recording, startUs, skipIdle: skip, sound: loudness } = begin.current;
    const stage = document.createElement("canvas");
    stage.id = "stage";
    stage.dataset.testid = "stage";
    const controller = new PlayerController(
      stage,
      {
        url: `/api/v1/recordings/${encodeURIComponent(recording.id)}/fragments`,
        live: recording.state === "live",
        durationUs: recording.duration_us,
        startedAtUs: Date.parse(recording.started_at) * 1000,
        atUs: startUs,
        // A link to a moment shows just that moment.
        play: startUs === undefined,
        skipIdle: skip,
        rate: 1,
      },
      loudness,
    );
    setPlayer(controller);
    return () => controller.close();
  }, []);

  return player ? (
    <PlayerView {...props} player={player} onSkipIdle={setSkipIdle} onSound={setSound} />
  ) : null;
}

const getWidth = (s: Snapshot) => s.width;
const getHeight = (s: Snapshot) => s.height;
const getStatus = (s: Snapshot) => s.status;
const isSignedOut = (s: Snapshot) => s.troubles.some((trouble) => trouble.httpStatus === 401);

function PlayerView({
  recording,
  timeline,
  onRefresh,
  onRest,
  monitor,
  onMonitor,
  events,
  onEvents,
  player,
  onSkipIdle,
  onSound,
}: Props & {
  player: PlayerController;
  onSkipIdle: (on: boolean) => void;
  onSound: (sound: Loudness) => void;
}) {
  const { t } = useTranslation();
  const root = useRef<HTMLElement>(null);
  const [stats, setStats] = useState(false);
  const [help, setHelp] = useState(false);
  const [skipped, setSkipped] = useState<string>();
  const [dayClock, setDayClock] = useStored("playhead.day-clock", (stored) => stored === true);
  const fullScreen = useFullScreen();
  const startMs = Date.parse(recording.started_at);

  const width = useSnapshot(player, getWidth);
  const height = useSnapshot(player, getHeight);
  const { monitors: known } = recording;
  const monitors = useMemo(() => monitorsIn(known, { width, height }), [known, width, height]);
  // A monitor that the address names and this desktop has not: all are shown.
  const part = monitors.find((other) => other.name === monitor);

  const feed = useEvents(recording.id);
  // There is no picture then, and the events take its place.
  const alone = recording.session?.events_only === true;

  useFollowRecording(player, recording, timeline);
  useEffect(() => {
    player.onStreamEnded = () => void onRefresh();
  }, [player, onRefresh]);
  useRest(player, onRest);
  const signedOut = useSnapshot(player, isSignedOut);
  useEffect(() => {
    // The page's own request meets the same answer, and leads to the sign-in.
    if (signedOut) void onRefresh();
  }, [signedOut, onRefresh]);
  useEffect(() => {
    let timer = 0;
    player.onSkipped = (fromUs, toUs) => {
      setSkipped(t("player.skipped", { length: duration(toUs - fromUs) }));
      clearTimeout(timer);
      timer = window.setTimeout(() => setSkipped(undefined), 2500);
    };
    return () => clearTimeout(timer);
  }, [player, t]);

  const act = useActions({
    player,
    recording,
    root,
    part,
    onRefresh,
    onMonitor: () => {
      if (monitors.length > 0) onMonitor(nextMonitor(monitors, part?.name));
    },
    onClock: () => setDayClock(!dayClock),
    onStats: () => setStats((on) => !on),
    events: events && !alone,
    onEvents: () => {
      if (!alone) onEvents(!events);
    },
    onHelp: () => setHelp(true),
    onSkipIdle,
    onSound,
  });
  usePageKeys(act, help);
  const pane = {
    player,
    feed,
    live: recording.state === "live",
    startMs,
    dayClock,
    onJump: (us: number) => player.send({ type: "seek", atUs: us, scrub: false }),
  };

  return (
    <section ref={root} className="player" aria-label={t("player.stage")}>
      <div className="player-body">
        <div className={alone ? "player-stage player-stage-events" : "player-stage"}>
          {alone ? (
            <EventPane {...pane} />
          ) : (
            <Stage
              player={player}
              label={t("player.stage")}
              part={part}
              onToggle={() => act({ do: "toggle" })}
              onFullScreen={() => act({ do: "full-screen" })}
            />
          )}
          <Overlay player={player} />
          <SoundHint player={player} />
          {recording.masks?.length ? <MaskNote player={player} masks={recording.masks} /> : null}
          {stats ? <Stats player={player} /> : null}
          {skipped ? (
            <div className="stage-note" role="status">
              {skipped}
            </div>
          ) : null}
        </div>
        {events && !alone ? <EventPane {...pane} onClose={() => onEvents(false)} /> : null}
      </div>
      <div className="player-controls">
        <SeekBar
          player={player}
          timeline={timeline}
          events={feed.events}
          pictures={!alone}
          startMs={startMs}
          dayClock={dayClock}
        />
        <Controls
          player={player}
          startMs={startMs}
          dayClock={dayClock}
          stats={stats}
          pictures={!alone}
          events={events && !alone}
          fullScreen={fullScreen}
          act={act}
          onRate={(rate) => player.send({ type: "rate", rate })}
          monitors={monitors}
          monitor={part?.name}
          onMonitor={onMonitor}
        />
      </div>
      {help ? (
        <Suspense fallback={null}>
          <Help onClose={() => setHelp(false)} />
        </Suspense>
      ) : null}
    </section>
  );
}

/** Hands on what the console tells of the recording while it goes on. */
function useFollowRecording(
  player: PlayerController,
  recording: Recording,
  timeline: Timeline | undefined,
): void {
  const live = recording.state === "live";
  const durationUs = recording.duration_us;
  useEffect(() => player.send({ type: "update", live, durationUs }), [player, live, durationUs]);
  useEffect(() => {
    if (!timeline) return;
    const gaps: Spans = timeline.gaps.map((gap) => [gap.from_us, gap.to_us]);
    player.send({ type: "idle", spans: joinSpans(timeline.idle, gaps) });
  }, [player, timeline]);
}

/** Tells where the viewer has stopped. */
function useRest(player: PlayerController, onRest: (us: number | undefined) => void): void {
  const status = useSnapshot(player, getStatus);
  const before = useRef(status);
  useEffect(() => {
    if (status === "paused") {
      // A drag pauses nowhere for long; only where it ends is worth an address.
      let last = -1;
      const timer = setInterval(() => {
        const { positionUs } = player.snapshot;
        if (positionUs !== last) {
          last = positionUs;
          onRest(positionUs);
        }
      }, 500);
      return () => clearInterval(timer);
    }
    if (status === "playing" && before.current === "paused") onRest(undefined);
    before.current = status;
    return undefined;
  }, [status, player, onRest]);
}

function useFullScreen(): boolean {
  const [on, setOn] = useState(false);
  useEffect(() => {
    const change = () => setOn(document.fullscreenElement !== null);
    document.addEventListener("fullscreenchange", change);
    return () => document.removeEventListener("fullscreenchange", change);
  }, []);
  return on;
}

interface Means {
  player: PlayerController;
  recording: Recording;
  root: React.RefObject<HTMLElement | null>;
  /** What is shown of the picture; undefined: all of it. */
  part: (Part & { name: string }) | undefined;
  onRefresh: () => Promise<Recording | undefined>;
  onMonitor: () => void;
  onClock: () => void;
  onStats: () => void;
  /** Whether the events stand beside the picture. */
  events: boolean;
  onEvents: () => void;
  onHelp: () => void;
  onSkipIdle: (on: boolean) => void;
  onSound: (sound: Loudness) => void;
}

function useActions(means: Means): (action: Action) => void {
  const { t } = useTranslation();
  const notes = useNotes();
  const copy = useCopy();
  // Several presses of a key add up, even before the worker has told of the first.
  const aim = useRef<{ us: number; at: number }>(undefined);
  const speed = useRef<{ rate: number; at: number }>(undefined);

  return (action) => {
    const { player, recording } = means;
    const { snapshot } = player;
    const seek = (us: number) => {
      const end = snapshot.durationUs;
      const target = Math.min(Math.max(0, us), end);
      aim.current = { us: target, at: performance.now() };
      player.send({ type: "seek", atUs: target, scrub: false });
    };
    const goLive = async () => {
      const fresh = await means.onRefresh();
      const durationUs = Math.max(fresh?.duration_us ?? 0, recording.duration_us);
      player.send({ type: "live", durationUs });
    };
    switch (action.do) {
      case "toggle":
        player.send({
          type: snapshot.status === "playing" || snapshot.status === "buffering" ? "pause" : "play",
        });
        break;
      case "move":
        seek((recent(aim.current)?.us ?? snapshot.positionUs) + action.byUs);
        break;
      case "frame":
        if (snapshot.status === "paused" || snapshot.status === "ended") {
          player.send({ type: "step", direction: action.direction });
        }
        break;
      case "speed": {
        const rate = nextRate(recent(speed.current)?.rate ?? snapshot.rate, action.direction);
        speed.current = { rate, at: performance.now() };
        player.send({ type: "rate", rate });
        break;
      }
      case "share":
        seek(snapshot.durationUs * action.of);
        break;
      case "end":
        if (snapshot.live) void goLive();
        else seek(snapshot.durationUs);
        break;
      case "live":
        if (snapshot.live) void goLive();
        break;
      case "monitor":
        means.onMonitor();
        break;
      case "skip-idle":
        means.onSkipIdle(!snapshot.skipIdle);
        player.send({ type: "skip-idle", on: !snapshot.skipIdle });
        break;
      case "mute":
      case "volume":
        if (!player.sound.state.there) break;
        changeSound(player, action);
        means.onSound({ muted: player.sound.state.muted, volume: player.sound.state.volume });
        break;
      case "screenshot":
        if (recording.session?.events_only) break;
        void saveScreenshot(
          player,
          `${recording.host} ${recording.user} ${dateTime(new Date(recording.started_at), "UTC")} ${clock(snapshot.positionUs)}`,
          means.part,
        );
        break;
      case "copy-link":
        void copy(
          `${window.location.origin}/recordings/${encodeURIComponent(recording.id)}?t=${addressSeconds(snapshot.positionUs)}${means.part ? `&monitor=${encodeURIComponent(means.part.name)}` : ""}${means.events ? "&pane=events" : ""}`,
          t("player.linkCopied"),
        );
        break;
      case "clock":
        means.onClock();
        break;
      case "events":
        means.onEvents();
        break;
      case "stats":
        means.onStats();
        break;
      case "help":
        means.onHelp();
        break;
      case "full-screen":
        if (document.fullscreenElement) void document.exitFullscreen();
        else void means.root.current?.requestFullscreen().catch(() => undefined);
        break;
      case "pip":
        if (document.pictureInPictureEnabled && !recording.session?.events_only) {
          togglePictureInPicture(player).catch(() => void notes.warning(t("player.pipFailed")));
        }
        break;
    }
  };
}

/** Who makes it louder wants to hear it. */
function changeSound(player: PlayerController, action: Extract<Action, { do: "mute" | "volume" }>): void {
  const { sound } = player;
  if (action.do === "mute") {
    sound.setMuted(!sound.state.muted);
  } else {
    sound.setVolume(sound.state.volume + action.by);
    if (action.by > 0) sound.setMuted(false);
  }
}

function recent<T extends { at: number }>(wish: T | undefined): T | undefined {
  return wish && performance.now() - wish.at < 400 ? wish : undefined;
}

/** The keys work on the whole page, but never while somebody types or a dialog is open. */
function usePageKeys(act: (action: Action) => void, off: boolean): void {
  const latest = useRef(act);
  latest.current = act;
  const onKey = useCallback((event: KeyboardEvent) => {
    if (event.defaultPrevented || typing(event)) return;
    const action = actionOf(event);
    if (!action) return;
    // A button that has the focus is pressed by the space bar; so it was meant.
    const target = event.target instanceof HTMLElement ? event.target : undefined;
    if (event.key === " " && target?.closest("button, a, [role=switch]")) return;
    event.preventDefault();
    latest.current(action);
  }, []);
  useEffect(() => {
    if (off) return;
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [off, onKey]);
}
