import { useQuery } from "@tanstack/react-query";
import { useRouteContext } from "@tanstack/react-router";
import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { asApiError } from "../../api/problem";
import { sitesQuery } from "../../api/queries";
import type { Server, Site } from "../../api/types";
import { EmptyState, ErrorState, SkeletonRows, StaleNotice } from "../../app/states";
import { useTitle } from "../../app/title";
import "../../i18n/hosts";
import "../../i18n/sites";
import { JoinDialog } from "../hosts/join-dialog";
import { SiteCard } from "./card";
import { EditSite, RemoveServer, RemoveSite } from "./dialogs";
import "./sites.css";

/** What is being done to which site; one thing at a time. */
type Doing =
  | { what: "create" }
  | { what: "edit" | "remove" | "connect"; site: Site }
  | { what: "remove-server"; server: Server };

export function SitesPage() {
  const { t } = useTranslation();
  useTitle(t("sites.title"));
  const { me } = useRouteContext({ from: "/app" });
  const sites = useQuery(sitesQuery);
  const [doing, setDoing] = useState<Doing>();
  const mayManage = me.permissions.includes("manage-sites");
  const create = (
    <Button type="primary" onClick={() => setDoing({ what: "create" })}>
      {t("sites.create")}
    </Button>
  );

  return (
    <div className="page">
      <header className="page-head">
        <div>
          <h1>{t("sites.title")}</h1>
          <p className="quiet">{t("sites.about")}</p>
        </div>
        {mayManage ? create : null}
      </header>
      {sites.isError && sites.data && asApiError(sites.error).passing ? <StaleNotice /> : null}
      {sites.isError && !(sites.data && asApiError(sites.error).passing) ? (
        <ErrorState error={sites.error} onRetry={() => void sites.refetch()} />
      ) : !sites.data ? (
        <SkeletonRows rows={4} />
      ) : sites.data.items.length === 0 ? (
        <EmptyState title={t("sites.emptyTitle")}>
          <p>{t("sites.empty")}</p>
          {mayManage ? <div className="state-actions">{create}</div> : null}
        </EmptyState>
      ) : (
        <div className="sites">
          {sites.data.items.map((site) => (
            <SiteCard
              key={site.id}
              site={site}
              manage={
                mayManage
                  ? {
                      onConnect: () => setDoing({ what: "connect", site }),
                      onEdit: () => setDoing({ what: "edit", site }),
                      onRemove: () => setDoing({ what: "remove", site }),
                      onRemoveServer: (server) => setDoing({ what: "remove-server", server }),
                    }
                  : undefined
              }
            />
          ))}
        </div>
      )}
      <Doings doing={doing} onClose={() => setDoing(undefined)} />
    </div>
  );
}

function Doings({ doing, onClose }: { doing: Doing | undefined; onClose: () => void }) {
  switch (doing?.what) {
    case "create":
      return <EditSite site={undefined} onClose={onClose} />;
    case "edit":
      return <EditSite site={doing.site} onClose={onClose} />;
    case "remove":
      return <RemoveSite site={doing.site} onClose={onClose} />;
    case "connect":
      return <JoinDialog kind="server" site={doing.site} onClose={onClose} />;
    case "remove-server":
      return <RemoveServer server={doing.server} onClose={onClose} />;
    case undefined:
      return null;
  }
}
