import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { EmptyState, ErrorState, SkeletonRows } from "../../app/states";
import { When } from "../../app/when";
import { historyQuery } from "./queries";
import { PolicyFrame } from "./site";

/** Which policy was active when. */
export function HistoryPage() {
  const { t } = useTranslation("policies");
  const search = useSearch({ from: "/app/policies/history" });
  const navigate = useNavigate({ from: "/policies/history" });
  return (
    <PolicyFrame
      page="history"
      about={t("history.about")}
      site={search.site}
      onSite={(site) => void navigate({ search: { site }, replace: true })}
    >
      {(site) => <History site={site.id} />}
    </PolicyFrame>
  );
}

function History({ site }: { site: string }) {
  const { t } = useTranslation("policies");
  const history = useQuery(historyQuery(site));
  if (history.isError && !history.data) {
    return <ErrorState error={history.error} onRetry={() => void history.refetch()} />;
  }
  if (!history.data) return <SkeletonRows rows={6} />;
  if (history.data.items.length === 0) {
    return (
      <EmptyState title={t("history.emptyTitle")}>
        <p>{t("history.empty")}</p>
      </EmptyState>
    );
  }
  return (
    <div className="table-frame">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t("history.from")}</th>
            <th scope="col">{t("history.policy")}</th>
            <th scope="col">{t("history.by")}</th>
            <th scope="col" className="number">
              {t("history.revision")}
            </th>
          </tr>
        </thead>
        <tbody>
          {history.data.items.map((item) => (
            <tr key={item.revision} data-revision={item.revision}>
              <td>
                <When at={item.made_at} />
              </td>
              <td className="long history-policy">
                <Link to="/policies/$policy" params={{ policy: item.policy }} search={{ site }}>
                  {item.name}
                </Link>
                {item.version ? (
                  <span className="quiet"> {t("version", { version: item.version })}</span>
                ) : null}
              </td>
              <td className="long">{item.made_by}</td>
              <td className="number">{item.revision}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
