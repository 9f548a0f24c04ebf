import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useRouteContext, useSearch } from "@tanstack/react-router";
import { Button, Tooltip } from "antd";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiError, asApiError } from "../../api/problem";
import { ActionsHead } from "../../app/actions-head";
import { useListKeys } from "../../app/list-keys";
import { EmptyState, ErrorState, PartialNotice, SkeletonRows, StaleNotice } from "../../app/states";
import { useTitle } from "../../app/title";
import { When } from "../../app/when";
import { userName } from "../../format/numbers";
import "../../i18n/sessions";
import { isRecorded, StartStop, StartStopDialog } from "./actions";
import { SessionDetails } from "./details";
import { SessionFilters } from "./filters";
import { type UserSession, userSessionsQuery } from "./queries";
import { filtered, type SessionSearch } from "./search";
import "./sessions.css";
import { RecordingBadge, useWhy } from "./why";

const FORBIDDEN = new ApiError(403, "", "", "forbidden", undefined, undefined);

/** The sessions of users, and whether they are recorded. */
export function SessionsPage() {
  const { t } = useTranslation("sessions");
  useTitle(t("title"));
  const { me } = useRouteContext({ from: "/app" });
  const search = useSearch({ from: "/app/sessions" });
  const navigate = useNavigate({ from: "/sessions" });
  const allowed = me.permissions.includes("view-sessions");
  const list = useQuery({ ...userSessionsQuery(search), enabled: allowed });
  const box = useRef<HTMLDivElement>(null);
  useListKeys({ list: box, filters: box });
  const [acting, setActing] = useState<{ session: UserSession; what: "start" | "stop" }>();
  if (!allowed) return <ErrorState error={FORBIDDEN} />;
  const change = (part: Partial<SessionSearch>) =>
    void navigate({ search: { ...search, cursor: undefined, ...part }, replace: true });
  const open = (session: string | undefined) =>
    void navigate({ search: { ...search, session }, replace: true });
  const act = (session: UserSession) => setActing({ session, what: isRecorded(session) ? "stop" : "start" });
  const passing = list.isError && list.data && asApiError(list.error).passing;
  return (
    <div className="page sessions" ref={box}>
      <header className="page-head">
        <div>
          <h1>{t("title")}</h1>
          <p className="quiet">{t("about")}</p>
        </div>
      </header>
      <SessionFilters
        search={search}
        maySeeSites={me.permissions.includes("view-sites")}
        onChange={change}
        onClear={() => void navigate({ search: {}, replace: true })}
      />
      {list.data ? <PartialNotice problems={list.data.problems} /> : null}
      {passing ? <StaleNotice /> : null}
      {list.isError && !passing ? (
        <ErrorState error={list.error} onRetry={() => void list.refetch()} />
      ) : !list.data ? (
        <SkeletonRows rows={6} />
      ) : list.data.items.length === 0 ? (
        <Nothing
          filtered={filtered(search) || search.cursor !== undefined}
          mayAdd={me.permissions.includes("manage-sites")}
          onClear={() => void navigate({ search: {}, replace: true })}
        />
      ) : (
        <>
          <Table
            items={list.data.items}
            mayWatch={me.permissions.includes("play-recordings")}
            mayAct={me.permissions.includes("manage-sessions")}
            onOpen={(session) => open(session.id)}
            onAct={act}
          />
          {search.cursor || list.data.next ? (
            <nav className="session-paging" aria-label={t("paging")}>
              <Button disabled={!search.cursor} onClick={() => change({})}>
                {t("first")}
              </Button>
              <Button
                disabled={!list.data.next}
                onClick={() => void navigate({ search: { ...search, cursor: list.data?.next ?? undefined } })}
              >
                {t("next")}
              </Button>
            </nav>
          ) : null}
        </>
      )}
      {search.session && !acting ? (
        <SessionDetails
          id={search.session}
          session={list.data?.items.find((session) => session.id === search.session)}
          onClose={() => open(undefined)}
          onAct={act}
        />
      ) : null}
      {acting ? <StartStopDialog {...acting} onClose={() => setActing(undefined)} /> : null}
    </div>
  );
}

function Nothing(props: { filtered: boolean; mayAdd: boolean; onClear: () => void }) {
  const { t } = useTranslation("sessions");
  if (props.filtered) {
    return (
      <EmptyState title={t("noMatchTitle")}>
        <p className="quiet">{t("noMatch")}</p>
        <div className="state-actions">
          <Button type="primary" onClick={props.onClear}>
            {t("clear")}
          </Button>
        </div>
      </EmptyState>
    );
  }
  return (
    <EmptyState title={t("emptyTitle")}>
      <p>{t("empty")}</p>
      {props.mayAdd ? (
        <Link to="/session-hosts" search={{ add: "1" }}>
          {t("addHost")}
        </Link>
      ) : null}
    </EmptyState>
  );
}

interface TableProps {
  items: UserSession[];
  mayWatch: boolean;
  mayAct: boolean;
  onOpen: (session: UserSession) => void;
  onAct: (session: UserSession) => void;
}

function Table({ items, mayWatch, mayAct, onOpen, onAct }: TableProps) {
  const { t } = useTranslation("sessions");
  const why = useWhy();
  const several = new Set(items.map((session) => session.site.id)).size > 1;
  return (
    <div className="table-frame">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t("user")}</th>
            <th scope="col">{t("host")}</th>
            {several ? <th scope="col">{t("site")}</th> : null}
            <th scope="col">{t("application")}</th>
            <th scope="col">{t("client")}</th>
            <th scope="col">{t("state")}</th>
            <th scope="col" className="session-since">
              {t("since")}
            </th>
            <th scope="col">{t("recording")}</th>
            <th scope="col">{t("why")}</th>
            <ActionsHead />
          </tr>
        </thead>
        <tbody>
          {items.map((session) => {
            const user = userName(session.user).name || t("nobody");
            const way = t(`protocols.${session.protocol}`);
            const client = [way, session.client, session.address].filter(Boolean).join(" · ");
            return (
              <tr key={session.id} data-id={session.id} data-user={session.user}>
                <td className="long session-user" title={session.users.join(", ") || session.user}>
                  <button
                    type="button"
                    className="session-open"
                    aria-label={t("open", { user, host: session.host })}
                    onClick={() => onOpen(session)}
                  >
                    {user}
                  </button>
                </td>
                <td className="long session-host" title={session.host}>
                  {session.host}
                </td>
                {several ? (
                  <td className="session-site" title={session.site.name}>
                    {session.site.name}
                  </td>
                ) : null}
                <td className="session-site" title={session.application}>
                  {session.application}
                </td>
                <td className="long session-client" title={client}>
                  {client}
                </td>
                <td>
                  {session.reachable || session.state === "ended" ? (
                    t(`states.${session.state}`)
                  ) : (
                    <Tooltip title={t("agentAwayNote")}>
                      <span className="badge badge-warn">{t("agentAway")}</span>
                    </Tooltip>
                  )}
                </td>
                <td className="session-since">
                  <When at={session.started_at} relative />
                </td>
                <td>
                  <RecordingBadge session={session} />
                </td>
                <td className="long session-why" title={why(session)}>
                  {why(session)}
                </td>
                <td className="actions">
                  <span className="session-actions">
                    {mayWatch && session.recording.recording && session.state !== "ended" ? (
                      <Link
                        to="/recordings/$id"
                        params={{ id: session.recording.recording }}
                        search={{}}
                        aria-label={t("watchLabel", { user, host: session.host })}
                      >
                        {t("watch")}
                      </Link>
                    ) : null}
                    {mayAct ? <StartStop session={session} onOpen={() => onAct(session)} /> : null}
                  </span>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
