import { useQuery } from "@tanstack/react-query";
import { Link, useRouteContext } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ApiError } from "../../api/problem";
import { sitesQuery } from "../../api/queries";
import type { Site } from "../../api/types";
import { Choose } from "../../app/choose";
import { EmptyState, ErrorState, SkeletonRows } from "../../app/states";
import { useTitle } from "../../app/title";
import "../../i18n/policies";
import "./policies.css";

const FORBIDDEN = new ApiError(403, "", "", "forbidden", undefined, undefined);
const MISSING = new ApiError(404, "", "", "not-found", undefined, undefined);

export type PolicyPage = "policies" | "simulator" | "notices" | "history";

interface Props {
  page: PolicyPage;
  about: string;
  /** The site of the address; the first of all without one. */
  site: string | undefined;
  onSite: (site: string) => void;
  actions?: (site: Site) => ReactNode;
  children: (site: Site) => ReactNode;
}

/** What the pages about policies have in common: which site they are about, and the way from one to the other. */
export function PolicyFrame({ page, about, site: wanted, onSite, actions, children }: Props) {
  const { t } = useTranslation("policies");
  useTitle(page === "policies" ? t("title") : `${t(`pages.${page}`)} · ${t("title")}`);
  const { me } = useRouteContext({ from: "/app" });
  const allowed = me.permissions.includes("view-policies");
  const sites = useQuery({ ...sitesQuery, enabled: allowed });
  const site =
    sites.data?.items.find((one) => one.id === wanted) ?? (wanted ? undefined : sites.data?.items[0]);
  if (!allowed) return <ErrorState error={FORBIDDEN} />;
  return (
    <div className="page policies">
      <header className="page-head">
        <div>
          <h1>{t("title")}</h1>
          <p className="quiet">{about}</p>
        </div>
        {sites.data && sites.data.items.length > 1 ? (
          <Choose
            label={t("site")}
            value={site?.id ?? ""}
            options={sites.data.items.map((one) => ({ value: one.id, label: one.name }))}
            onChange={onSite}
          />
        ) : null}
        {site && actions ? actions(site) : null}
      </header>
      <nav className="tabs" aria-label={t("pages.label")}>
        {(
          [
            ["policies", "/policies"],
            ["simulator", "/policies/simulator"],
            ["notices", "/policies/notices"],
            ["history", "/policies/history"],
          ] as const
        ).map(([name, to]) => (
          <Link
            key={name}
            to={to}
            search={wanted ? { site: wanted } : {}}
            className="tab"
            activeOptions={{ exact: true, includeSearch: false }}
          >
            {t(`pages.${name}`)}
          </Link>
        ))}
      </nav>
      {sites.isError && !sites.data ? (
        <ErrorState error={sites.error} onRetry={() => void sites.refetch()} />
      ) : !sites.data ? (
        <SkeletonRows rows={6} />
      ) : site ? (
        children(site)
      ) : wanted ? (
        <ErrorState error={MISSING} />
      ) : (
        <EmptyState title={t("siteAway")}>
          <p>{t("siteAwayAbout")}</p>
        </EmptyState>
      )}
    </div>
  );
}
