import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useRouteContext } from "@tanstack/react-router";
import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { ApiError, asApiError } from "../../api/problem";
import { joinTokensQuery } from "../../api/queries";
import type { JoinToken } from "../../api/types";
import { ActionsHead } from "../../app/actions-head";
import { Confirm } from "../../app/confirm";
import { useNotes } from "../../app/notes";
import { EmptyState, ErrorState, PartialNotice, SkeletonRows, StaleNotice } from "../../app/states";
import { useTitle } from "../../app/title";
import { When } from "../../app/when";
import { count } from "../../format/numbers";
import "../../i18n/sites";
import "../../i18n/hosts";
import { JoinDialog } from "../hosts/join-dialog";

const FORBIDDEN = new ApiError(403, "", "", "forbidden", undefined, undefined);

export function TokensPage() {
  const { t } = useTranslation();
  useTitle(t("tokens.title"));
  const { me } = useRouteContext({ from: "/app" });
  const allowed = me.permissions.includes("manage-sites");
  const tokens = useQuery({ ...joinTokensQuery, enabled: allowed });
  const [making, setMaking] = useState<"agent" | "server">();
  const [revoking, setRevoking] = useState<JoinToken>();
  if (!allowed) return <ErrorState error={FORBIDDEN} />;
  const make = (
    <>
      <Button onClick={() => setMaking("server")}>{t("sites.connect")}</Button>
      <Button type="primary" onClick={() => setMaking("agent")}>
        {t("hosts.add")}
      </Button>
    </>
  );

  return (
    <div className="page">
      <header className="page-head">
        <div>
          <h1>{t("tokens.title")}</h1>
          <p className="quiet">{t("tokens.about")}</p>
        </div>
        {make}
      </header>
      {tokens.data ? <PartialNotice problems={tokens.data.problems} /> : null}
      {tokens.isError && tokens.data && asApiError(tokens.error).passing ? <StaleNotice /> : null}
      {tokens.isError && !(tokens.data && asApiError(tokens.error).passing) ? (
        <ErrorState error={tokens.error} onRetry={() => void tokens.refetch()} />
      ) : !tokens.data ? (
        <SkeletonRows rows={4} />
      ) : tokens.data.items.length === 0 ? (
        <EmptyState title={t("tokens.emptyTitle")}>
          <p>{t("tokens.empty")}</p>
          <div className="state-actions">{make}</div>
        </EmptyState>
      ) : (
        <TokensTable items={tokens.data.items} onRevoke={setRevoking} />
      )}
      {making ? <JoinDialog kind={making} site={undefined} onClose={() => setMaking(undefined)} /> : null}
      {revoking ? <Revoke token={revoking} onClose={() => setRevoking(undefined)} /> : null}
    </div>
  );
}

function TokensTable({ items, onRevoke }: { items: JoinToken[]; onRevoke: (token: JoinToken) => void }) {
  const { t } = useTranslation();
  return (
    <div className="table-frame">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t("tokens.kind")}</th>
            <th scope="col">{t("tokens.site")}</th>
            <th scope="col" className="number">
              {t("tokens.uses")}
            </th>
            <th scope="col">{t("tokens.madeBy")}</th>
            <th scope="col">{t("tokens.made")}</th>
            <th scope="col">{t("tokens.expires")}</th>
            <ActionsHead />
          </tr>
        </thead>
        <tbody>
          {items.map((token) => (
            <tr key={token.id} data-id={token.id}>
              <td>{t(`tokens.${token.kind}`)}</td>
              <td className="long">{token.site?.name ?? <i className="quiet">{t("tokens.ownSite")}</i>}</td>
              <td className="number">{count(token.uses_left)}</td>
              <td className="long">{token.made_by}</td>
              <td>
                <When at={token.created_at} />
              </td>
              <td>
                <When at={token.expires_at} />
              </td>
              <td className="actions">
                <Button
                  size="small"
                  aria-label={t("tokens.revokeLabel", {
                    kind: t(`tokens.${token.kind}`),
                    user: token.made_by,
                  })}
                  onClick={() => onRevoke(token)}
                >
                  {t("tokens.revoke")}
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Revoke({ token, onClose }: { token: JoinToken; onClose: () => void }) {
  const { t } = useTranslation();
  const notes = useNotes();
  const client = useQueryClient();
  const revoke = async () => {
    await answer(
      api.DELETE("/api/v1/join-tokens/{id}", {
        params: { path: { id: token.id } },
      }),
    );
    await client.invalidateQueries({ queryKey: joinTokensQuery.queryKey });
    void notes.success(t("tokens.revoked"));
  };
  return (
    <Confirm title={t("tokens.revokeTitle")} action={t("tokens.revoke")} onConfirm={revoke} onClose={onClose}>
      <p>{t("tokens.revokeAbout")}</p>
    </Confirm>
  );
}
