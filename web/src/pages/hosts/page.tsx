import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useRouteContext, useSearch } from "@tanstack/react-router";
import { Button, Tooltip } from "antd";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { asApiError } from "../../api/problem";
import { sessionHostsQuery, sitesQuery } from "../../api/queries";
import type { SessionHost } from "../../api/types";
import { Choose } from "../../app/choose";
import { useListKeys } from "../../app/list-keys";
import { useMay } from "../../app/may";
import { EmptyState, ErrorState, PartialNotice, SkeletonRows, StaleNotice } from "../../app/states";
import { useTitle } from "../../app/title";
import { When } from "../../app/when";
import { sentence } from "../../format/sentence";
import "../../i18n/hosts";
import { policiesQuery } from "../policies/queries";
import "./hosts.css";
import { JoinDialog } from "./join-dialog";
import { QueueCell, QueueDialog } from "./queue";

export function HostsPage() {
  const { t } = useTranslation();
  useTitle(t("hosts.title"));
  const { me } = useRouteContext({ from: "/app" });
  const search = useSearch({ from: "/app/session-hosts" });
  const navigate = useNavigate({ from: "/session-hosts" });
  const hosts = useQuery(sessionHostsQuery(search.site));
  const sites = useQuery(sitesQuery);
  const mayManage = me.permissions.includes("manage-sites");
  const adding = mayManage && search.add !== undefined;
  const several = (sites.data?.items.length ?? 0) > 1 || search.site !== undefined;
  const site = sites.data?.items.find((other) => other.id === search.site);
  const add = (open: boolean) =>
    void navigate({ search: { ...search, add: open ? "1" : undefined }, replace: true });

  const page = useRef<HTMLDivElement>(null);
  useListKeys({ list: page });

  return (
    <div className="page" ref={page}>
      <header className="page-head">
        <div>
          <h1>{t("hosts.title")}</h1>
          <p className="quiet">{t("hosts.about")}</p>
        </div>
        {several ? (
          <Choose
            label={t("recordings.site")}
            value={search.site ?? ""}
            options={[
              { value: "", label: t("recordings.anySite") },
              ...(sites.data?.items ?? []).map((other) => ({ value: other.id, label: other.name })),
            ]}
            onChange={(value) => void navigate({ search: { site: value || undefined }, replace: true })}
          />
        ) : null}
        {mayManage ? (
          <Button type="primary" onClick={() => add(true)}>
            {t("hosts.add")}
          </Button>
        ) : null}
      </header>
      {hosts.data ? <PartialNotice problems={hosts.data.problems} /> : null}
      {hosts.isError && hosts.data && asApiError(hosts.error).passing ? <StaleNotice /> : null}
      {hosts.isError && !(hosts.data && asApiError(hosts.error).passing) ? (
        <ErrorState error={hosts.error} onRetry={() => void hosts.refetch()} />
      ) : !hosts.data ? (
        <SkeletonRows rows={4} />
      ) : hosts.data.items.length === 0 ? (
        <EmptyState title={search.site ? t("hosts.noMatch") : t("hosts.emptyTitle")}>
          <p>{t("hosts.empty")}</p>
          {mayManage ? (
            <div className="state-actions">
              <Button type="primary" onClick={() => add(true)}>
                {t("hosts.add")}
              </Button>
            </div>
          ) : null}
        </EmptyState>
      ) : (
        <HostsTable items={hosts.data.items} />
      )}
      {adding ? <JoinDialog kind="agent" site={site} onClose={() => add(false)} /> : null}
    </div>
  );
}

function HostsTable({ items }: { items: SessionHost[] }) {
  const { t } = useTranslation();
  const mayList = useMay("list-recordings");
  const maySessions = useMay("view-sessions");
  const [open, setOpen] = useState<string>();
  // Looked up each time, so that what is open stays up to date.
  const opened = items.find((host) => host.id === open);
  return (
    <div className="table-frame">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t("hosts.host")}</th>
            <th scope="col">{t("hosts.site")}</th>
            <th scope="col">{t("hosts.state")}</th>
            <th scope="col" className="number">
              {t("hosts.live")}
            </th>
            <th scope="col">{t("queue.column")}</th>
            <th scope="col">{t("hosts.policy")}</th>
            <th scope="col">{t("hosts.version")}</th>
            <th scope="col">{t("hosts.enrolled")}</th>
            <th scope="col">{t("hosts.lastSeen")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((host) => (
            <tr key={host.id} data-id={host.id}>
              <td className="long">
                {mayList ? (
                  <Link
                    to="/recordings"
                    search={{ host: host.host }}
                    aria-label={t("hosts.recordings", { host: host.host })}
                    title={host.host}
                  >
                    {host.host}
                  </Link>
                ) : (
                  host.host
                )}
              </td>
              <td className="long" title={host.site.name}>
                {host.site.name}
              </td>
              <td>
                <span className={host.state === "active" ? "badge badge-good" : "badge"}>
                  {host.state === "active" ? t("hosts.active") : t("hosts.inactive")}
                </span>
              </td>
              <td className="number">
                {maySessions ? (
                  <Link
                    to="/sessions"
                    search={{ host: host.host }}
                    aria-label={t("hosts.sessions", { host: host.host, count: host.live_recordings })}
                    title={t("hosts.sessions", { host: host.host, count: host.live_recordings })}
                  >
                    {host.live_recordings}
                  </Link>
                ) : (
                  host.live_recordings
                )}
              </td>
              <td>
                <QueueCell queue={host.queue} host={host.host} onOpen={() => setOpen(host.id)} />
              </td>
              <td>
                <HostPolicy host={host} />
              </td>
              <td>{host.version}</td>
              <td>
                <When at={host.enrolled_at} />
              </td>
              <td>{host.last_seen ? <When at={host.last_seen} relative /> : t("common.none")}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {opened ? <QueueDialog host={opened} onClose={() => setOpen(undefined)} /> : null}
    </div>
  );
}

/** Which policy a host goes by, and what keeps it from a newer one. */
function HostPolicy({ host }: { host: SessionHost }) {
  const { t } = useTranslation();
  const mayLook = useMay("view-policies");
  const { data } = useQuery({ ...policiesQuery(host.site.id), enabled: mayLook && host.policy !== null });
  if (!host.policy) return t("common.none");
  const { revision, error } = host.policy;
  const active = data?.active;
  return (
    <>
      {active?.revision === revision ? (
        <Link to="/policies/$policy" params={{ policy: active.id }} search={{ site: host.site.id }}>
          {active.name}
        </Link>
      ) : active && revision < active.revision ? (
        t("hosts.older", { revision })
      ) : (
        // Where the site's policies are not known, the number alone.
        t("hosts.revision", { revision })
      )}
      {error ? (
        <>
          {" "}
          <Tooltip title={sentence(error)}>
            <span className="badge badge-warn">{t("hosts.oldPolicy")}</span>
          </Tooltip>
        </>
      ) : null}
    </>
  );
}
