import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useRouteContext } from "@tanstack/react-router";
import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { ApiError, asApiError } from "../../api/problem";
import { apiClientsQuery } from "../../api/queries";
import type { ApiClient } from "../../api/types";
import { ActionsHead } from "../../app/actions-head";
import { Confirm } from "../../app/confirm";
import { useNotes } from "../../app/notes";
import { EmptyState, ErrorState, SkeletonRows, StaleNotice } from "../../app/states";
import { useTitle } from "../../app/title";
import { When } from "../../app/when";
import "../../i18n/clients";
import "./clients.css";
import { CreateDialog } from "./create";

const FORBIDDEN = new ApiError(403, "", "", "forbidden", undefined, undefined);

export function ClientsPage() {
  const { t } = useTranslation();
  useTitle(t("clients.title"));
  const { me } = useRouteContext({ from: "/app" });
  const allowed = me.permissions.includes("manage-api-clients");
  const clients = useQuery({ ...apiClientsQuery, enabled: allowed });
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<ApiClient>();
  if (!allowed) return <ErrorState error={FORBIDDEN} />;
  const make = (
    <Button type="primary" onClick={() => setMaking(true)}>
      {t("clients.create")}
    </Button>
  );

  return (
    <div className="page">
      <header className="page-head">
        <div>
          <h1>{t("clients.title")}</h1>
          <p className="quiet">{t("clients.about")}</p>
        </div>
        {make}
      </header>
      {clients.isError && clients.data && asApiError(clients.error).passing ? <StaleNotice /> : null}
      {clients.isError && !(clients.data && asApiError(clients.error).passing) ? (
        <ErrorState error={clients.error} onRetry={() => void clients.refetch()} />
      ) : !clients.data ? (
        <SkeletonRows rows={4} />
      ) : clients.data.items.length === 0 ? (
        <EmptyState title={t("clients.emptyTitle")}>
          <p>{t("clients.empty")}</p>
          <div className="state-actions">{make}</div>
        </EmptyState>
      ) : (
        <>
          <ClientsTable items={clients.data.items} onRevoke={setRevoking} />
          <dl className="client-ids">
            <dt>{t("clients.customer")}</dt>
            <dd>
              <code>{clients.data.customer_id}</code>
            </dd>
            {clients.data.sites.map((site) => (
              <Site key={site.id} {...site} />
            ))}
          </dl>
        </>
      )}
      {making ? <CreateDialog may={me.permissions} onClose={() => setMaking(false)} /> : null}
      {revoking ? <Revoke client={revoking} onClose={() => setRevoking(undefined)} /> : null}
    </div>
  );
}

function Site({ id, name }: { id: string; name: string }) {
  const { t } = useTranslation();
  return (
    <>
      <dt>{t("clients.siteId", { site: name })}</dt>
      <dd>
        <code>{id}</code>
      </dd>
    </>
  );
}

function ClientsTable({ items, onRevoke }: { items: ApiClient[]; onRevoke: (client: ApiClient) => void }) {
  const { t } = useTranslation();
  return (
    <div className="table-frame">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t("clients.nameAndId")}</th>
            <th scope="col">{t("clients.may")}</th>
            <th scope="col">{t("clients.madeBy")}</th>
            <th scope="col">{t("clients.lastUsed")}</th>
            <th scope="col">{t("clients.expires")}</th>
            <ActionsHead />
          </tr>
        </thead>
        <tbody>
          {items.map((client) => (
            <tr key={client.id} data-id={client.id}>
              <td className="client-name">
                <div title={client.name}>{client.name}</div>
                <code className="quiet">{client.id}</code>
              </td>
              <td className="client-may">
                {client.permissions.map((permission) => (
                  <div key={permission}>{t(`permissions.${permission}` as "permissions.view-sessions")}</div>
                ))}
              </td>
              <td className="long">{client.made_by}</td>
              <td>
                {client.last_used_at ? (
                  <When at={client.last_used_at} relative />
                ) : (
                  <i className="quiet">{t("clients.never")}</i>
                )}
              </td>
              <td>
                {client.expired ? <span className="client-expired">{t("clients.expired")} </span> : null}
                <When at={client.expires_at} />
              </td>
              <td className="actions">
                <Button
                  size="small"
                  aria-label={t("clients.revokeLabel", { client: client.name })}
                  onClick={() => onRevoke(client)}
                >
                  {t("clients.revoke")}
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Revoke({ client, onClose }: { client: ApiClient; onClose: () => void }) {
  const { t } = useTranslation();
  const notes = useNotes();
  const queries = useQueryClient();
  const revoke = async () => {
    await answer(api.DELETE("/api/v1/api-clients/{id}", { params: { path: { id: client.id } } }));
    await queries.invalidateQueries({ queryKey: apiClientsQuery.queryKey });
    void notes.success(t("clients.revoked"));
  };
  return (
    <Confirm
      title={t("clients.revokeTitle", { client: client.name })}
      action={t("clients.revoke")}
      onConfirm={revoke}
      onClose={onClose}
    >
      <p>{t("clients.revokeAbout")}</p>
    </Confirm>
  );
}
