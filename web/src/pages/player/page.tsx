import { ArrowLeftOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import {
  Link,
  useCanGoBack,
  useNavigate,
  useParams,
  useRouteContext,
  useRouter,
  useSearch,
} from "@tanstack/react-router";
import { Tooltip } from "antd";
import { useCallback, useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiError } from "../../api/problem";
import { recordingQuery, timelineQuery } from "../../api/queries";
import type { Recording } from "../../api/types";
import { ErrorState, SkeletonRows } from "../../app/states";
import { useTitle } from "../../app/title";
import { When } from "../../app/when";
import { userName } from "../../format/numbers";
import { addressSeconds } from "../../format/time";
import "../../i18n/player";
import { Player } from "../../player/view/player";
import { readStart } from "../../player/view/start";
import { setAside } from "../recordings/columns";
import { EventsOnly, Holds } from "../recordings/holds";

/** What ids look like; anything else is a slip in the address. */
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const MISSING = new ApiError(404, "", "", "not-found", undefined, undefined);
const FORBIDDEN = new ApiError(403, "", "", "forbidden", undefined, undefined);

export function PlayerPage() {
  const { id } = useParams({ from: "/app/recordings/$id" });
  const { me } = useRouteContext({ from: "/app" });
  const known = ID.test(id);
  const recording = useQuery({ ...recordingQuery(id), enabled: known });
  if (!me.permissions.includes("play-recordings")) return <ErrorState error={FORBIDDEN} />;
  if (!known) return <ErrorState error={MISSING} />;
  if (recording.data) return <Loaded key={id} recording={recording.data} onRefresh={recording.refetch} />;
  if (recording.isError)
    return <ErrorState error={recording.error} onRetry={() => void recording.refetch()} />;
  return <SkeletonRows rows={6} />;
}

interface LoadedProps {
  recording: Recording;
  onRefresh: () => Promise<{ data: Recording | undefined }>;
}

function Loaded({ recording, onRefresh }: LoadedProps) {
  const { t } = useTranslation();
  const { t: at, monitor, pane } = useSearch({ from: "/app/recordings/$id" });
  const navigate = useNavigate({ from: "/recordings/$id" });
  const timeline = useQuery(timelineQuery(recording.id));
  // Later changes of the address are the player's own.
  const [startUs] = useState(() => readStart(at));
  const user = recording.user ? userName(recording.user).name : t("recordings.nobody");
  useTitle(t("player.title", { user, host: recording.host }));

  const { refetch } = timeline;
  const refresh = useCallback(async () => {
    void refetch();
    return (await onRefresh()).data;
  }, [refetch, onRefresh]);
  const rest = useCallback(
    (us: number | undefined) =>
      void navigate({
        search: (before) => ({ ...before, t: us === undefined ? undefined : addressSeconds(us) }),
        replace: true,
        resetScroll: false,
      }),
    [navigate],
  );
  const showMonitor = useCallback(
    (name: string | undefined) =>
      void navigate({
        search: (before) => ({ ...before, monitor: name }),
        replace: true,
        resetScroll: false,
      }),
    [navigate],
  );

  const showEvents = useCallback(
    (open: boolean) =>
      void navigate({
        search: (before) => ({ ...before, pane: open ? "events" : undefined }),
        replace: true,
        resetScroll: false,
      }),
    [navigate],
  );

  return (
    <div className="player-page">
      <Head recording={recording} user={user} />
      {recording.state === "quarantined" ? (
        <p className="player-notice" role="note">
          {t("player.setAside")} {setAside(recording)}
        </p>
      ) : null}
      <Player
        recording={recording}
        timeline={timeline.data}
        startUs={startUs}
        onRefresh={refresh}
        onRest={rest}
        monitor={monitor}
        onMonitor={showMonitor}
        events={pane === "events"}
        onEvents={showEvents}
      />
    </div>
  );
}

function Head({ recording, user }: { recording: Recording; user: string }) {
  const { t } = useTranslation();
  const router = useRouter();
  const canGoBack = useCanGoBack();
  return (
    <header className="player-head">
      <Link
        to="/recordings"
        search={{}}
        aria-label={t("player.back")}
        title={t("player.back")}
        onClick={(event) => {
          // Back to the list as it was, its filters and page included.
          if (!canGoBack || event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          router.history.back();
        }}
      >
        <ArrowLeftOutlined />
      </Link>
      <h1>
        <Tooltip title={t("player.title", { user: recording.user || user, host: recording.host })}>
          <span>{t("player.title", { user, host: recording.host })}</span>
        </Tooltip>
      </h1>
      <When at={recording.started_at} named />
      <span className="quiet cut" title={recording.site.name}>
        {recording.site.name}
      </span>
      <span className="quiet cut" title={recording.application}>
        {recording.application}
      </span>
      {recording.state === "live" ? <span className="badge badge-live">{t("player.live")}</span> : null}
      <EventsOnly recording={recording} />
      <Holds recording={recording} />
      {recording.gaps > 0 ? (
        <span className="badge badge-warn">{t("recordings.gaps", { count: recording.gaps })}</span>
      ) : null}
      {recording.state === "quarantined" ? (
        <span className="badge badge-bad">{t("player.quarantined")}</span>
      ) : null}
    </header>
  );
}
