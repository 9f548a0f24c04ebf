import {
  BackwardOutlined,
  CameraOutlined,
  CaretRightFilled,
  FastForwardOutlined,
  ForwardOutlined,
  FullscreenExitOutlined,
  FullscreenOutlined,
  LineChartOutlined,
  LinkOutlined,
  PauseOutlined,
  PictureOutlined,
  QuestionCircleOutlined,
  RedoOutlined,
  UnorderedListOutlined,
} from "@ant-design/icons";
import { Button, Select, Tooltip } from "antd";
import { type MouseEvent, type ReactNode, useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { useZone } from "../../app/zone";
import { clock, timeOfDay, zoneName } from "../../format/time";
import type { Snapshot } from "../core/messages";
import { type PlayerController, useSnapshot } from "./controller";
import { type Action, RATES } from "./keys";
import type { Monitor } from "./monitors";
import { SoundControl } from "./sound/control";

interface Props {
  player: PlayerController;
  startMs: number;
  dayClock: boolean;
  stats: boolean;
  /** Whether there are any. */
  pictures: boolean;
  /** Whether the events stand beside the picture. */
  events: boolean;
  fullScreen: boolean;
  act: (action: Action) => void;
  onRate: (rate: number) => void;
  monitors: readonly Monitor[];
  /** The one that is shown alone. */
  monitor: string | undefined;
  onMonitor: (name: string | undefined) => void;
}

const isPlaying = (s: Snapshot) => s.status === "playing" || s.status === "buffering";
const isEnded = (s: Snapshot) => s.status === "ended";
const getRate = (s: Snapshot) => s.rate;
const getSkip = (s: Snapshot) => s.skipIdle;
const getLive = (s: Snapshot) => s.live;

export function Controls(props: Props) {
  const { player, startMs, dayClock, stats, pictures, events, fullScreen, act, onRate } = props;
  const { t } = useTranslation();
  const playing = useSnapshot(player, isPlaying);
  const ended = useSnapshot(player, isEnded);
  const rate = useSnapshot(player, getRate);
  const skipIdle = useSnapshot(player, getSkip);
  const live = useSnapshot(player, getLive);
  const pip = pictures && pipOffered();

  return (
    <div className="controls" role="toolbar" aria-label={t("player.controls")}>
      <Control
        label={ended ? t("player.replay") : playing ? t("player.pause") : t("player.play")}
        keys="Space K"
        testId="play"
        icon={ended ? <RedoOutlined /> : playing ? <PauseOutlined /> : <CaretRightFilled />}
        onClick={() => act({ do: "toggle" })}
      />
      <Control
        label={t("player.back10")}
        keys="J"
        icon={<BackwardOutlined />}
        onClick={() => act({ do: "move", byUs: -10_000_000 })}
      />
      <Control
        label={t("player.forward10")}
        keys="L"
        icon={<ForwardOutlined />}
        onClick={() => act({ do: "move", byUs: 10_000_000 })}
      />
      <Clock player={player} startMs={startMs} dayClock={dayClock} onSwitch={() => act({ do: "clock" })} />
      {live ? <LivePill player={player} onClick={() => act({ do: "live" })} /> : null}
      <span className="controls-gap" />
      <SoundControl player={player} act={act} />
      {pictures && props.monitors.length > 0 ? <MonitorChoice {...props} /> : null}
      <Tooltip title={`${t("player.skipIdle")} (X)`} getPopupContainer={inPlayer}>
        <Button
          className={skipIdle ? "toggle-on" : undefined}
          icon={<FastForwardOutlined />}
          aria-pressed={skipIdle}
          aria-keyshortcuts="X"
          onClick={(event) => {
            letGo(event);
            act({ do: "skip-idle" });
          }}
        >
          {t("player.skipIdleShort")}
        </Button>
      </Tooltip>
      <Select
        aria-label={t("player.speed")}
        aria-keyshortcuts="< >"
        data-testid="speed"
        className="controls-speed"
        value={rate}
        options={RATES.map((value) => ({ value, label: `${value}×` }))}
        getPopupContainer={inPlayer}
        onChange={(value) => {
          onRate(value);
          if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
        }}
      />
      <Control
        label={t("player.copyLink")}
        keys="Y"
        icon={<LinkOutlined />}
        onClick={() => act({ do: "copy-link" })}
      />
      {pictures ? (
        <Control
          label={t("player.screenshot")}
          keys="S"
          icon={<CameraOutlined />}
          onClick={() => act({ do: "screenshot" })}
        />
      ) : null}
      {pip ? (
        <Control
          label={t("player.pip")}
          keys="I"
          icon={<PictureOutlined />}
          onClick={() => act({ do: "pip" })}
        />
      ) : null}
      {pictures ? (
        <Control
          label={t("player.events")}
          keys="E"
          pressed={events}
          testId="events"
          icon={<UnorderedListOutlined />}
          onClick={() => act({ do: "events" })}
        />
      ) : null}
      <Control
        label={t("player.stats")}
        keys="D"
        pressed={stats}
        icon={<LineChartOutlined />}
        onClick={() => act({ do: "stats" })}
      />
      <Control
        label={t("player.help")}
        keys="?"
        icon={<QuestionCircleOutlined />}
        onClick={() => act({ do: "help" })}
      />
      <Control
        label={fullScreen ? t("player.leaveFullScreen") : t("player.fullScreen")}
        keys="F"
        icon={fullScreen ? <FullscreenExitOutlined /> : <FullscreenOutlined />}
        onClick={() => act({ do: "full-screen" })}
      />
    </div>
  );
}

/** All monitors, or one alone. */
function MonitorChoice({ monitors, monitor, onMonitor }: Props) {
  const { t } = useTranslation();
  return (
    <Tooltip title={`${t("player.monitor")} (N)`} getPopupContainer={inPlayer}>
      <Select
        aria-label={t("player.monitor")}
        aria-keyshortcuts="N"
        data-testid="monitor"
        className="controls-monitor"
        value={monitor ?? ""}
        popupMatchSelectWidth={false}
        options={[
          { value: "", label: t("player.allMonitors") },
          ...monitors.map(({ name, width, height }) => ({
            value: name,
            label: name,
            title: `${name} · ${width} × ${height}`,
          })),
        ]}
        getPopupContainer={inPlayer}
        onChange={(name) => {
          onMonitor(name || undefined);
          if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
        }}
      />
    </Tooltip>
  );
}

/** In full screen only what lies within the player is visible. */
function inPlayer(trigger: HTMLElement): HTMLElement {
  return trigger.closest<HTMLElement>(".player") ?? document.body;
}

/** The space bar shall go on meaning play and pause after a click with the mouse. */
function letGo(event: MouseEvent<HTMLElement>): void {
  if (event.detail > 0) event.currentTarget.blur();
}

function pipOffered(): boolean {
  return document.pictureInPictureEnabled === true;
}

interface ControlProps {
  label: string;
  /** Keys that do the same, separated by spaces. */
  keys: string;
  icon: ReactNode;
  onClick: () => void;
  pressed?: boolean;
  testId?: string;
}

function Control({ label, keys, icon, onClick, pressed, testId }: ControlProps) {
  return (
    <Tooltip title={`${label} (${keys.split(" ")[0]})`} getPopupContainer={inPlayer}>
      <Button
        type="text"
        icon={icon}
        aria-label={label}
        aria-keyshortcuts={keys}
        aria-pressed={pressed}
        data-testid={testId}
        onClick={(event) => {
          letGo(event);
          onClick();
        }}
      />
    </Tooltip>
  );
}

/** The clock writes itself, as it changes too often to have React do it. */
function Clock(props: {
  player: PlayerController;
  startMs: number;
  dayClock: boolean;
  onSwitch: () => void;
}) {
  const { player, startMs, dayClock, onSwitch } = props;
  const { t } = useTranslation();
  const text = useRef<HTMLSpanElement>(null);
  const zone = useZone();
  useEffect(() => {
    const write = () => {
      const { positionUs, durationUs } = player.snapshot;
      const at = (us: number) => (dayClock ? timeOfDay(new Date(startMs + us / 1000), zone) : clock(us));
      const next = `${at(positionUs)} / ${at(durationUs)}`;
      if (text.current && text.current.textContent !== next) text.current.textContent = next;
    };
    write();
    return player.subscribe(write);
  }, [player, startMs, dayClock, zone]);
  const start = new Date(startMs);
  return (
    <Tooltip
      title={
        dayClock
          ? `${t("player.clockDay")} (T) · ${zoneName(start, zone)}`
          : `${t("player.clockRelative")} (T)`
      }
      getPopupContainer={inPlayer}
    >
      <Button
        type="text"
        className="controls-clock"
        aria-keyshortcuts="T"
        data-testid="clock"
        onClick={(event) => {
          letGo(event);
          onSwitch();
        }}
      >
        <span ref={text} />
      </Button>
    </Tooltip>
  );
}

const getFollowing = (s: Snapshot) => s.following;
const getDelay = (s: Snapshot) => (s.delayMs === undefined ? undefined : Math.round(s.delayMs / 100) / 10);

function LivePill({ player, onClick }: { player: PlayerController; onClick: () => void }) {
  const { t } = useTranslation();
  const following = useSnapshot(player, getFollowing);
  const delay = useSnapshot(player, getDelay);
  // The delay of a still screen grows, although nothing is late.
  const measured = delay !== undefined && delay < 3 ? delay.toFixed(1) : undefined;
  return (
    <Button
      size="small"
      shape="round"
      className={following ? "live-pill live-pill-on" : "live-pill"}
      title={`${t("player.goLive")} (V)`}
      aria-keyshortcuts="V"
      data-testid="live-pill"
      onClick={(event) => {
        letGo(event);
        onClick();
      }}
    >
      {following
        ? measured
          ? t("player.liveDelay", { seconds: measured })
          : t("player.livePill")
        : t("player.liveBehind")}
    </Button>
  );
}
