import { CloseOutlined, SearchOutlined } from "@ant-design/icons";
import { Alert, Button, Input } from "antd";
import { useDeferredValue, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { count } from "../../../format/numbers";
import { sentence } from "../../../format/sentence";
import type { PlayerController } from "../controller";
import "./events.css";
import type { Feed } from "./feed";
import { matching } from "./find";
import { EventList } from "./list";
import { eventKind, eventWords } from "./words";

interface Props {
  player: PlayerController;
  feed: Feed;
  live: boolean;
  /** Wall clock at media time 0, milliseconds. */
  startMs: number;
  dayClock: boolean;
  onJump: (us: number) => void;
  /** Without it there is nothing to close: the events are all that there is. */
  onClose?: (() => void) | undefined;
}

/** What happened in the session: beside the picture, or in its place where there is none. */
export function EventPane({ player, feed, live, startMs, dayClock, onJump, onClose }: Props) {
  const { t } = useTranslation("events");
  const { t: common } = useTranslation();
  const [text, setText] = useState("");
  const sought = useDeferredValue(text);
  const found = useMemo(
    () => matching(feed.events, sought, (event) => `${eventKind(t, event)} ${eventWords(t, event)}`),
    [feed.events, sought, t],
  );
  const alone = onClose === undefined;
  return (
    <aside className={alone ? "events events-alone" : "events"} aria-label={t("title")}>
      <header className="events-head">
        <h2>{t("title")}</h2>
        <span className="quiet" role="status" data-testid="event-count">
          {found.length === feed.events.length
            ? count(feed.events.length)
            : t("found", { found: count(found.length), all: count(feed.events.length) })}
        </span>
        <Input
          size="small"
          allowClear
          prefix={<SearchOutlined aria-hidden />}
          placeholder={t("filter")}
          aria-label={t("filter")}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        {onClose ? (
          <Button
            type="text"
            size="small"
            icon={<CloseOutlined />}
            aria-label={t("close")}
            onClick={onClose}
          />
        ) : null}
      </header>
      {alone ? <p className="events-note quiet">{t("only")}</p> : null}
      {feed.error ? (
        <Alert
          type={feed.error.passing ? "warning" : "error"}
          showIcon
          title={sentence(
            feed.error.away
              ? common("player.trouble.away")
              : feed.error.detail || common("errors.failedTitle"),
          )}
        />
      ) : null}
      {feed.full ? <Alert type="info" showIcon title={t("full")} /> : null}
      {found.length > 0 ? (
        <EventList player={player} events={found} startMs={startMs} dayClock={dayClock} onJump={onJump} />
      ) : feed.error ? null : (
        <p className="events-none quiet">
          {feed.events.length > 0
            ? t("noneFound")
            : !feed.caughtUp
              ? common("common.loading")
              : live
                ? t("noneYet")
                : t("none")}
        </p>
      )}
    </aside>
  );
}
