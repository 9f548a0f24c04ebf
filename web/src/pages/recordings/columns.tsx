import { Link } from "@tanstack/react-router";
import { Tooltip } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Recording } from "../../api/types";
import { When } from "../../app/when";
import { useZone } from "../../app/zone";
import { bytes, userName } from "../../format/numbers";
import { sentence } from "../../format/sentence";
import { dateTime, duration } from "../../format/time";
import { EventsOnly, Holds } from "./holds";
import type { Sortable } from "./search";

export const COLUMNS = [
  "started",
  "user",
  "host",
  "site",
  "application",
  "client",
  "duration",
  "bytes",
  "state",
  "holds",
  "gaps",
  "resolution",
  "display",
  "segments",
  "agent",
] as const;
export type Column = (typeof COLUMNS)[number];

export const DEFAULT_COLUMNS: readonly Column[] = [
  "started",
  "user",
  "host",
  "site",
  "application",
  "client",
  "duration",
  "bytes",
  "state",
];

export const SORT_OF: Partial<Record<Column, Sortable>> = {
  started: "started_at",
  user: "user",
  host: "host",
  duration: "duration",
  bytes: "bytes",
};

/** Texts of any length: they share the room that the others leave, and are cut where there is not enough. */
export const LONG: ReadonlySet<Column> = new Set(["user", "host", "site", "application", "client"]);

export const NUMBERS: ReadonlySet<Column> = new Set(["duration", "bytes", "gaps", "segments"]);

/** The whole of a text that may be cut. */
export function wholeText(column: Column, recording: Recording): string | undefined {
  switch (column) {
    case "user":
      return recording.user || undefined;
    case "host":
      return recording.host;
    case "site":
      return recording.site.name;
    case "application":
      return recording.application;
    case "client":
      return [recording.client, recording.client_address].filter(Boolean).join(" · ") || undefined;
    default:
      return undefined;
  }
}

/** The stored choice of columns; anything unknown in it is left out. Started stays, as it links to the player. */
export function readColumns(stored: unknown): readonly Column[] {
  if (!Array.isArray(stored)) return DEFAULT_COLUMNS;
  return COLUMNS.filter((column) => column === "started" || stored.includes(column));
}

export function Cell({ column, recording }: { column: Column; recording: Recording }): ReactNode {
  const { t } = useTranslation();
  switch (column) {
    case "started":
      return <Started recording={recording} />;
    case "user":
      return <User user={recording.user} />;
    case "host":
      return recording.host;
    case "site":
      return recording.site.name;
    case "application":
      return recording.application;
    case "client":
      return recording.client || recording.client_address || t("common.none");
    case "duration":
      return duration(recording.duration_us);
    case "bytes":
      return bytes(recording.bytes);
    case "state":
      return (
        <span className="badges">
          <StateBadge recording={recording} />
          <EventsOnly recording={recording} />
        </span>
      );
    case "holds":
      return <Holds recording={recording} />;
    case "gaps":
      return recording.gaps;
    case "resolution":
      // What stands for the picture where there is none says nothing.
      return recording.width > 0 && !recording.session?.events_only
        ? `${recording.width} × ${recording.height}`
        : t("common.none");
    case "display":
      return recording.display;
    case "segments":
      return recording.segments;
    case "agent":
      return recording.agent_version;
  }
}

function Started({ recording }: { recording: Recording }) {
  const { t } = useTranslation();
  const at = new Date(recording.started_at);
  const zone = useZone();
  const user = recording.user || t("recordings.nobody");
  return (
    <When
      at={recording.started_at}
      wrap={(time) => (
        <Link
          to="/recordings/$id"
          params={{ id: recording.id }}
          search={{}}
          aria-label={t("recordings.recording", { user, host: recording.host, time: dateTime(at, zone) })}
        >
          {time}
        </Link>
      )}
    />
  );
}

function User({ user }: { user: string }) {
  const { t } = useTranslation();
  const { name } = userName(user);
  return name || <span className="quiet">{t("recordings.nobody")}</span>;
}

/** Why a recording is set aside. */
export function setAside(recording: Recording): string | undefined {
  const reason = recording.quarantine?.reason ?? recording.problem;
  return reason ? sentence(reason) : undefined;
}

export function StateBadge({ recording }: { recording: Recording }) {
  const { t } = useTranslation();
  const zone = useZone();
  const look = { live: "badge badge-live", finished: "badge", quarantined: "badge badge-bad" }[
    recording.state
  ];
  if (recording.shredded) {
    const { at, by, why } = recording.shredded;
    const note = t("recordings.shreddedNote", { by, time: dateTime(new Date(at), zone) });
    return (
      <Tooltip title={why ? `${note} ${sentence(why)}` : note}>
        <span className="badge badge-warn">{t("recordings.shredded")}</span>
      </Tooltip>
    );
  }
  if (recording.state === "live" && recording.connected === false) {
    return (
      <Tooltip title={t("recordings.interruptedNote")}>
        <span className="badge badge-warn">{t("recordings.interrupted")}</span>
      </Tooltip>
    );
  }
  return (
    <Tooltip title={setAside(recording)}>
      <span className={look}>{t(`recordings.states.${recording.state}`)}</span>
    </Tooltip>
  );
}
