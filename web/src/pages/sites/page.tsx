import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useRouteContext } from "@tanstack/react-router";
import { Alert, Button, Input, Tooltip } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { asApiError } from "../../api/problem";
import { sitesQuery } from "../../api/queries";
import type { Site } from "../../api/types";
import { Dialog } from "../../app/dialog";
import { Field } from "../../app/field";
import { useNotes } from "../../app/notes";
import { EmptyState, ErrorState, SkeletonRows } from "../../app/states";
import { useTitle } from "../../app/title";
import { ago, dateTime, zone } from "../../format/time";
import { JoinDialog } from "../hosts/join-dialog";
import "./sites.css";

export function SitesPage() {
  const { t } = useTranslation();
  useTitle(t("sites.title"));
  const { me } = useRouteContext({ from: "/app" });
  const sites = useQuery(sitesQuery);
  const [creating, setCreating] = useState(false);
  const [connecting, setConnecting] = useState<Site>();
  const mayManage = me.permissions.includes("manage-sites");

  return (
    <div className="page">
      <header className="page-head">
        <div>
          <h1>{t("sites.title")}</h1>
          <p className="quiet">{t("sites.about")}</p>
        </div>
        {mayManage ? (
          <Button type="primary" onClick={() => setCreating(true)}>
            {t("sites.create")}
          </Button>
        ) : null}
      </header>
      {sites.isError && !sites.data ? (
        <ErrorState error={sites.error} onRetry={() => void sites.refetch()} />
      ) : !sites.data ? (
        <SkeletonRows rows={4} />
      ) : sites.data.items.length === 0 ? (
        <EmptyState title={t("sites.emptyTitle")}>
          <p>{t("sites.empty")}</p>
        </EmptyState>
      ) : (
        <div className="sites">
          {sites.data.items.map((site) => (
            <SiteCard
              key={site.id}
              site={site}
              onConnect={mayManage ? () => setConnecting(site) : undefined}
            />
          ))}
        </div>
      )}
      {creating ? <CreateSite onClose={() => setCreating(false)} /> : null}
      {connecting ? (
        <JoinDialog kind="server" site={connecting} onClose={() => setConnecting(undefined)} />
      ) : null}
    </div>
  );
}

function SiteCard({ site, onConnect }: { site: Site; onConnect: (() => void) | undefined }) {
  const { t } = useTranslation();
  const created = new Date(site.created_at);
  return (
    <section className="site" aria-label={site.name} data-testid="site">
      <header>
        <div>
          <h2>{site.name}</h2>
          {site.description ? <p>{site.description}</p> : null}
          <p className="quiet">
            {t("sites.createdAt")}{" "}
            <Tooltip title={zone(created)}>
              <time dateTime={site.created_at}>{dateTime(created)}</time>
            </Tooltip>
            {" · "}
            <Link to="/session-hosts" search={{ site: site.id }}>
              {t("sites.hosts")}
            </Link>
          </p>
        </div>
        {onConnect ? <Button onClick={onConnect}>{t("sites.connect")}</Button> : null}
      </header>
      {site.servers.length === 0 ? (
        <p className="quiet">{t("sites.noServers")}</p>
      ) : (
        <ul aria-label={t("sites.servers")}>
          {site.servers.map((server) => (
            <li key={server.id}>
              <span className={server.state === "available" ? "badge badge-good" : "badge badge-bad"}>
                {server.state === "available" ? t("sites.available") : t("sites.offline")}
              </span>
              <b>{server.name}</b>
              <span className="quiet">{t("sites.version", { version: server.version })}</span>
              {server.state === "offline" && server.last_seen ? (
                <Tooltip
                  title={`${dateTime(new Date(server.last_seen))} ${zone(new Date(server.last_seen))}`}
                >
                  <span className="quiet">
                    {t("sites.lastSeen", { time: ago(new Date(server.last_seen), new Date()) })}
                  </span>
                </Tooltip>
              ) : null}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function CreateSite({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const notes = useNotes();
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [checked, setChecked] = useState(false);
  const create = useMutation({
    mutationFn: () =>
      answer(api.POST("/api/v1/sites", { body: { name: name.trim(), description: description.trim() } })),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: sitesQuery.queryKey });
      void notes.success(t("sites.created"));
      onClose();
    },
  });
  const submit = () => {
    setChecked(true);
    if (name.trim()) create.mutate();
  };
  const problem = create.error ? asApiError(create.error) : undefined;
  return (
    <Dialog
      title={t("sites.create")}
      onClose={onClose}
      onSubmit={submit}
      footer={
        <>
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="primary" htmlType="submit" loading={create.isPending}>
            {t("sites.create")}
          </Button>
        </>
      }
    >
      <div className="form">
        {problem ? (
          <Alert
            type="error"
            showIcon
            role="alert"
            title={problem.status === 0 ? `${t("errors.unreachableTitle")}.` : problem.message}
          />
        ) : null}
        <Field label={t("sites.name")} error={checked && !name.trim() ? t("sites.nameMissing") : undefined}>
          {(props) => (
            <Input
              {...props}
              maxLength={100}
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <Field label={t("sites.description")}>
          {(props) => (
            <Input
              {...props}
              maxLength={500}
              value={description}
              onChange={(event) => setDescription(event.target.value)}
            />
          )}
        </Field>
      </div>
    </Dialog>
  );
}
