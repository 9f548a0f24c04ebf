import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useRouteContext, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { ApiError } from "../../api/problem";
import { sitesQuery } from "../../api/queries";
import type { Site } from "../../api/types";
import { ErrorState, SkeletonRows } from "../../app/states";
import { useTitle } from "../../app/title";
import "../../i18n/policies";
import { Editor } from "./editor";
import "./policies.css";
import { policyQuery } from "./queries";
import type { PolicyDetail } from "./types";

const FORBIDDEN = new ApiError(403, "", "", "forbidden", undefined, undefined);
const MISSING = new ApiError(404, "", "", "not-found", undefined, undefined);
/** Stands in the address in place of an id. */
const NEW = "new";

/** One policy: its rules, what it would do, and its versions. */
export function PolicyPage() {
  const { t } = useTranslation("policies");
  const { me } = useRouteContext({ from: "/app" });
  const { policy } = useParams({ from: "/app/policies/$policy" });
  const search = useSearch({ from: "/app/policies/$policy" });
  const allowed = me.permissions.includes(policy === NEW ? "manage-policies" : "view-policies");
  const sites = useQuery({ ...sitesQuery, enabled: allowed });
  useTitle(t("title"));
  if (!allowed) return <ErrorState error={FORBIDDEN} />;
  if (sites.isError && !sites.data)
    return <ErrorState error={sites.error} onRetry={() => void sites.refetch()} />;
  if (!sites.data) return <SkeletonRows rows={6} />;
  const site = search.site ? sites.data.items.find((one) => one.id === search.site) : sites.data.items[0];
  return (
    <div className="page policies policy-page">
      <Link to="/policies" search={search.site ? { site: search.site } : {}} className="policy-back">
        ← {t("back")}
      </Link>
      {!site ? (
        <ErrorState error={MISSING} />
      ) : policy === NEW ? (
        <Editor key="new" site={site} base={undefined} />
      ) : (
        <Existing key={policy} site={site} policy={policy} />
      )}
    </div>
  );
}

function Existing({ site, policy }: { site: Site; policy: string }) {
  const found = useQuery(policyQuery(site.id, policy));
  const navigate = useNavigate({ from: "/policies/$policy" });
  if (found.isError && !found.data)
    return <ErrorState error={found.error} onRetry={() => void found.refetch()} />;
  if (!found.data) return <SkeletonRows rows={6} />;
  const restored = (_: PolicyDetail) =>
    void navigate({ search: (search) => ({ ...search, from: undefined, to: undefined }), replace: true });
  return <Editor site={site} base={found.data} onRestored={restored} />;
}
