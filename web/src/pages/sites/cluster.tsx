import { useQuery } from "@tanstack/react-query";
import { Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import "../../i18n/sites";
import { siteServersQuery } from "../../api/queries";
import type { Site, SiteServers } from "../../api/types";
import { count } from "../../format/numbers";

type SiteServer = SiteServers["items"][number];

const LOOKS: Record<string, string> = {
  running: "badge badge-good",
  draining: "badge badge-warn",
  stopped: "badge",
  silent: "badge badge-bad",
  lost: "badge badge-bad",
  gone: "badge",
};

/** Who of a site's servers is alive and holds what. Of a single one the table above tells enough. */
export function ClusterTable({ site }: { site: Site }) {
  const { t } = useTranslation();
  const servers = useQuery(siteServersQuery(site.id));
  if (!servers.data || servers.data.items.length < 2) return null;
  return (
    <div className="site-servers">
      <table className="table" aria-label={t("cluster.title")} data-testid="cluster">
        <thead>
          <tr>
            <th scope="col">{t("cluster.title")}</th>
            <th scope="col">{t("sites.state")}</th>
            <th scope="col" className="number">
              {t("cluster.live")}
            </th>
            <th scope="col" className="number">
              {t("cluster.sign")}
            </th>
            <th scope="col">{t("cluster.durable")}</th>
          </tr>
        </thead>
        <tbody>
          {servers.data.items.map((server) => (
            <Row key={server.id} server={server} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ server }: { server: SiteServer }) {
  const { t } = useTranslation();
  const durable = server.durable === "shared" ? "shared" : "disk";
  return (
    <tr data-id={server.id} data-state={server.state}>
      <td className="long" title={server.url || server.name}>
        {server.name}
      </td>
      <td>
        <span className={LOOKS[server.state] ?? "badge"}>
          {t(`cluster.states.${server.state}`, { defaultValue: server.state })}
        </span>
      </td>
      <td className="number">{count(server.live_recordings)}</td>
      <td className="number">{t("cluster.ago", { seconds: (server.age_ms / 1000).toFixed(1) })}</td>
      <td>
        <Tooltip title={t(`cluster.durableAbout.${durable}`)}>
          <span>{t(`cluster.durables.${durable}`)}</span>
        </Tooltip>
      </td>
    </tr>
  );
}
