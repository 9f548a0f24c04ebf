import { useQuery } from "@tanstack/react-query";
import { useNavigate, useRouteContext, useSearch } from "@tanstack/react-router";
import { Button, Select, Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import { sessionHostsQuery, sitesQuery } from "../../api/queries";
import type { SessionHost } from "../../api/types";
import { EmptyState, ErrorState, SkeletonRows } from "../../app/states";
import { useTitle } from "../../app/title";
import { ago, dateTime, zone } from "../../format/time";
import { JoinDialog } from "./join-dialog";

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

  return (
    <div className="page">
      <header className="page-head">
        <div>
          <h1>{t("hosts.title")}</h1>
          <p className="quiet">{t("hosts.about")}</p>
        </div>
        {several ? (
          <Select<string>
            aria-label={t("recordings.site")}
            value={search.site ?? ""}
            popupMatchSelectWidth={false}
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
      {hosts.isError && !hosts.data ? (
        <ErrorState error={hosts.error} onRetry={() => void hosts.refetch()} />
      ) : !hosts.data ? (
        <SkeletonRows rows={4} />
      ) : hosts.data.items.length === 0 ? (
        <EmptyState title={t("hosts.emptyTitle")}>
          <p>{t("hosts.empty")}</p>
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
            <th scope="col">{t("hosts.version")}</th>
            <th scope="col">{t("hosts.enrolled")}</th>
            <th scope="col">{t("hosts.lastSeen")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((host) => (
            <tr key={host.id} data-id={host.id}>
              <td>{host.host}</td>
              <td>{host.site.name}</td>
              <td>
                <span className={host.state === "active" ? "badge badge-good" : "badge"}>
                  {host.state === "active" ? t("hosts.active") : t("hosts.inactive")}
                </span>
              </td>
              <td className="number">{host.live_recordings}</td>
              <td>{host.version}</td>
              <td>
                <When at={host.enrolled_at} />
              </td>
              <td>{host.last_seen ? <When at={host.last_seen} relative /> : t("common.none")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function When({ at, relative = false }: { at: string; relative?: boolean }) {
  const date = new Date(at);
  return (
    <Tooltip title={relative ? `${dateTime(date)} ${zone(date)}` : zone(date)}>
      <time dateTime={at}>{relative ? ago(date, new Date()) : dateTime(date)}</time>
    </Tooltip>
  );
}
