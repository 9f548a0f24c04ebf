import { Link } from "@tanstack/react-router";
import { Button, Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import type { Server, Site } from "../../api/types";
import { ActionsHead } from "../../app/actions-head";
import { useMay } from "../../app/may";
import { When } from "../../app/when";
import { ClusterTable } from "./cluster";
import { StorageTable } from "./storage";

interface Manage {
  onConnect: () => void;
  onEdit: () => void;
  onRemove: () => void;
  onRemoveServer: (server: Server) => void;
}

interface Props {
  site: Site;
  /** Absent for those who may only look. */
  manage: Manage | undefined;
}

/** One site with its servers, and what can be done to them. */
export function SiteCard({ site, manage }: Props) {
  const { t } = useTranslation();
  const mayList = useMay("list-recordings");
  const occupied = site.servers.length > 0;
  return (
    <section className="site" aria-label={site.name} data-testid="site">
      <header>
        <div className="site-about">
          <h2>{site.name}</h2>
          {site.description ? <p className="site-description">{site.description}</p> : null}
          <p className="quiet">
            {t("sites.createdAt")} <When at={site.created_at} named />
            {mayList ? (
              <>
                {" · "}
                <Link to="/recordings" search={{ site: site.id }}>
                  {t("nav.recordings")}
                </Link>
              </>
            ) : null}
            {" · "}
            <Link to="/session-hosts" search={{ site: site.id }}>
              {t("sites.hosts")}
            </Link>
          </p>
        </div>
        {manage ? (
          <div className="site-actions">
            <Button onClick={manage.onConnect}>{t("sites.connect")}</Button>
            <Button onClick={manage.onEdit}>{t("sites.edit")}</Button>
            <Tooltip title={occupied ? t("sites.removeBlocked") : undefined}>
              <Button disabled={occupied} onClick={manage.onRemove}>
                {t("sites.remove")}
              </Button>
            </Tooltip>
          </div>
        ) : null}
      </header>
      {occupied ? (
        <>
          <Servers site={site} onRemove={manage?.onRemoveServer} />
          <ClusterTable site={site} />
          <StorageTable site={site} manages={manage !== undefined} />
        </>
      ) : (
        <p className="quiet">{manage ? t("sites.noServers") : t("sites.noServersQuiet")}</p>
      )}
    </section>
  );
}

function Servers({ site, onRemove }: { site: Site; onRemove: ((server: Server) => void) | undefined }) {
  const { t } = useTranslation();
  return (
    <div className="site-servers">
      <table className="table" aria-label={t("sites.servers")}>
        <thead>
          <tr>
            <th scope="col">{t("sites.server")}</th>
            <th scope="col">{t("sites.state")}</th>
            <th scope="col">{t("sites.seen")}</th>
            <th scope="col">{t("sites.serverVersion")}</th>
            {onRemove ? <ActionsHead /> : null}
          </tr>
        </thead>
        <tbody>
          {site.servers.map((server) => (
            <tr key={server.id} data-id={server.id} data-state={server.state}>
              <td className="long" title={server.name}>
                {server.name}
              </td>
              <td>
                <span className={server.state === "available" ? "badge badge-good" : "badge badge-bad"}>
                  {server.state === "available" ? t("sites.available") : t("sites.offline")}
                </span>
              </td>
              <td>
                <Seen server={server} />
              </td>
              <td>{server.version}</td>
              {onRemove ? (
                <td className="actions">
                  <Tooltip title={server.state === "available" ? t("sites.removeServerBlocked") : undefined}>
                    <Button
                      size="small"
                      disabled={server.state === "available"}
                      aria-label={t("sites.removeServerLabel", { server: server.name })}
                      onClick={() => onRemove(server)}
                    >
                      {t("sites.removeServer")}
                    </Button>
                  </Tooltip>
                </td>
              ) : null}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Seen({ server }: { server: Server }) {
  const { t } = useTranslation();
  if (server.state === "available" && server.connected_at) {
    return (
      <>
        {t("sites.since")} <When at={server.connected_at} />
      </>
    );
  }
  return server.last_seen ? (
    <When at={server.last_seen} relative />
  ) : (
    <span className="quiet">{t("sites.never")}</span>
  );
}
