import { useQuery } from "@tanstack/react-query";
import { Link, useRouteContext } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Dialog } from "../../app/dialog";
import { ProblemAlert, SkeletonRows } from "../../app/states";
import { When } from "../../app/when";
import { sentence } from "../../format/sentence";
import { StartStop } from "./actions";
import { type UserSession, userSessionQuery } from "./queries";
import { RecordingBadge, useWhy } from "./why";

interface Props {
  id: string;
  /** What the list knows of it already. */
  session: UserSession | undefined;
  onClose: () => void;
  onAct: (session: UserSession) => void;
}

/** Everything that is known of one session. */
export function SessionDetails({ id, session: listed, onClose, onAct }: Props) {
  const { t } = useTranslation("sessions");
  const found = useQuery(userSessionQuery(id));
  const session = found.data ?? listed;
  const title = session
    ? t("details", { user: session.user || t("nobody"), host: session.host })
    : t("title");
  return (
    <Dialog title={title} onClose={onClose} width={680}>
      {session ? (
        <Known session={session} onAct={onAct} />
      ) : found.error ? (
        <ProblemAlert error={found.error} />
      ) : (
        <SkeletonRows rows={6} />
      )}
    </Dialog>
  );
}

function Known({ session, onAct }: { session: UserSession; onAct: (session: UserSession) => void }) {
  const { t } = useTranslation("sessions");
  const { me } = useRouteContext({ from: "/app" });
  const why = useWhy();
  const { recording } = session.recording;
  const may = (permission: string) => me.permissions.includes(permission);
  const rows: [string, ReactNode][] = [
    [t("recording"), <RecordingBadge key="recording" session={session} />],
    [t("why"), why(session)],
    [t("trouble"), session.recording.trouble ? sentence(session.recording.trouble) : null],
    [t("all"), session.users.join(", ")],
    [t("groups"), session.groups.join(", ")],
    [t("site"), session.site.name],
    [
      t("state"),
      session.reachable
        ? t(`states.${session.state}`)
        : `${t(`states.${session.state}`)} · ${t("agentAway")}`,
    ],
    [t("application"), session.application],
    [t("protocol"), `${t(`protocols.${session.protocol}`)} · ${t("display")} ${session.display}`],
    [t("client"), session.client],
    [t("address"), session.address],
    [t("clientVersion"), session.client_version],
    [t("deliveryGroups"), session.delivery_groups.join(", ")],
    [t("tags"), session.tags.join(", ")],
    [t("began"), <When key="began" at={session.started_at} named />],
    [t("changed"), <When key="changed" at={session.changed_at} named />],
    [t("endedAt"), session.ended_at ? <When key="ended" at={session.ended_at} named /> : null],
    // While the agent is there, it tells of changes alone: that it told of none says nothing.
    [t("heard"), session.reachable ? null : <When key="heard" at={session.heard_at} relative />],
    [t("id"), <code key="id">{session.id}</code>],
  ];
  return (
    <div className="session-details" data-testid="session-details">
      <dl>
        {rows
          .filter(([, value]) => value)
          .map(([label, value]) => (
            <div key={label}>
              <dt className="quiet">{label}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
      <div className="session-links">
        {recording && may("play-recordings") ? (
          <Link to="/recordings/$id" params={{ id: recording }} search={{}}>
            {t("watch")}
          </Link>
        ) : null}
        {may("list-recordings") ? (
          <Link to="/recordings" search={{ host: session.host, user: session.user }}>
            {t("recordings")}
          </Link>
        ) : null}
        {may("view-policies") ? (
          <Link to="/policies/simulator" search={{ site: session.site.id, session: session.id }}>
            {t("simulate")}
          </Link>
        ) : null}
        {may("manage-sessions") ? <StartStop session={session} onOpen={() => onAct(session)} /> : null}
      </div>
    </div>
  );
}
