import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useRouteContext, useSearch } from "@tanstack/react-router";
import { Button, Switch } from "antd";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { asApiError } from "../../api/problem";
import type { Site } from "../../api/types";
import { ActionsHead } from "../../app/actions-head";
import { Confirm } from "../../app/confirm";
import { useListKeys } from "../../app/list-keys";
import { useNotes } from "../../app/notes";
import { EmptyState, ErrorState, SkeletonRows, StaleNotice } from "../../app/states";
import { When } from "../../app/when";
import { Activate } from "./activate";
import { policiesQuery } from "./queries";
import { PolicyFrame } from "./site";
import type { PolicyList, PolicySummary } from "./types";

/** The policy that is active where nobody wants another. */
export const NOTHING = "do-not-record";

/** The policies of a site, and which one is active. */
export function PoliciesPage() {
  const { t } = useTranslation("policies");
  const { me } = useRouteContext({ from: "/app" });
  const search = useSearch({ from: "/app/policies" });
  const navigate = useNavigate({ from: "/policies" });
  const mayManage = me.permissions.includes("manage-policies");
  return (
    <PolicyFrame
      page="policies"
      about={t("about")}
      site={search.site}
      onSite={(site) => void navigate({ search: { site }, replace: true })}
      actions={(site) => (mayManage ? <Create site={site} /> : null)}
    >
      {(site) => <Policies site={site} mayManage={mayManage} />}
    </PolicyFrame>
  );
}

function Create({ site }: { site: Site }) {
  const { t } = useTranslation("policies");
  const navigate = useNavigate();
  return (
    <Button
      type="primary"
      onClick={() =>
        void navigate({ to: "/policies/$policy", params: { policy: "new" }, search: { site: site.id } })
      }
    >
      {t("create")}
    </Button>
  );
}

function Policies({ site, mayManage }: { site: Site; mayManage: boolean }) {
  const { t } = useTranslation("policies");
  const list = useQuery(policiesQuery(site.id));
  const box = useRef<HTMLDivElement>(null);
  useListKeys({ list: box });
  const [removing, setRemoving] = useState<PolicySummary>();
  const [activating, setActivating] = useState<PolicySummary>();
  const remove = useRemove(site.id);
  const passing = list.isError && list.data && asApiError(list.error).passing;
  if (list.isError && !passing) {
    return <ErrorState error={list.error} onRetry={() => void list.refetch()} />;
  }
  if (!list.data) return <SkeletonRows rows={8} />;
  const own = list.data.items.filter((policy) => policy.kind === "custom");
  const system = list.data.items.filter((policy) => policy.kind === "system");
  const nothing = system.find((policy) => policy.id === NOTHING);
  const table = (items: PolicySummary[]) => (
    <PolicyTable
      site={site}
      items={items}
      mayManage={mayManage}
      onToggle={(policy) => setActivating(policy.active ? nothing : policy)}
      onRemove={setRemoving}
    />
  );
  return (
    <div className="policy-lists" ref={box}>
      {passing ? <StaleNotice /> : null}
      <ActiveNow site={site} list={list.data} />
      <section aria-labelledby="own-policies">
        <h2 id="own-policies">{t("own")}</h2>
        {own.length > 0 ? (
          table(own)
        ) : (
          <EmptyState title={t("emptyTitle")}>
            <p>{t("empty")}</p>
            {mayManage ? (
              <div className="state-actions">
                <Create site={site} />
              </div>
            ) : null}
          </EmptyState>
        )}
      </section>
      <section aria-labelledby="system-policies">
        <h2 id="system-policies">{t("system")}</h2>
        <p className="quiet">{t("systemAbout")}</p>
        {table(system)}
      </section>
      {activating ? (
        <Activate site={site} policy={activating} onClose={() => setActivating(undefined)} />
      ) : null}
      {removing ? (
        <Confirm
          title={t("removeTitle", { policy: removing.name })}
          action={t("remove")}
          onConfirm={() => remove(removing.id)}
          onClose={() => setRemoving(undefined)}
        >
          <p>{t("removeAbout")}</p>
        </Confirm>
      ) : null}
    </div>
  );
}

function ActiveNow({ site, list: { active } }: { site: Site; list: PolicyList }) {
  const { t } = useTranslation("policies");
  return (
    <p className="active-now panel" data-testid="active-policy">
      {t("activeIs", { site: site.name })}:{" "}
      <Link to="/policies/$policy" params={{ policy: active.id }} search={{ site: site.id }}>
        <b>{active.name}</b>
      </Link>
      {active.version ? <span className="quiet">, {t("version", { version: active.version })}</span> : null}
      <span className="quiet">
        {" · "}
        {active.since ? (
          <>
            {t("activeSince")} <When at={active.since} named />
            {active.by ? ` ${t("activeBy", { user: active.by })}` : null}
          </>
        ) : (
          t("activeNever")
        )}
      </span>
    </p>
  );
}

interface TableProps {
  site: Site;
  items: PolicySummary[];
  mayManage: boolean;
  onToggle: (policy: PolicySummary) => void;
  onRemove: (policy: PolicySummary) => void;
}

function PolicyTable({ site, items, mayManage, onToggle, onRemove }: TableProps) {
  const { t } = useTranslation("policies");
  const custom = items.some((policy) => policy.kind === "custom");
  return (
    <div className="table-frame">
      <table className="table policy-table" data-kind={custom ? "custom" : "system"}>
        <thead>
          <tr>
            <th scope="col">{t("name")}</th>
            <th scope="col" className="policy-toggle">
              {t("active")}
            </th>
            <th scope="col">{t("description")}</th>
            {custom ? (
              <>
                <th scope="col" className="number">
                  {t("rules")}
                </th>
                <th scope="col">{t("changed")}</th>
              </>
            ) : null}
            {mayManage ? <ActionsHead /> : null}
          </tr>
        </thead>
        <tbody>
          {items.map((policy) => (
            <tr key={policy.id} data-id={policy.id}>
              <td className="policy-name" title={policy.name}>
                <Link to="/policies/$policy" params={{ policy: policy.id }} search={{ site: site.id }}>
                  {policy.name}
                </Link>
              </td>
              <td className="policy-toggle">
                {mayManage ? (
                  <Switch
                    size="small"
                    checked={policy.active}
                    // Off is what "do not record" is, so there is nothing to switch it off to.
                    disabled={policy.active && policy.id === NOTHING}
                    aria-label={t("toggle", { policy: policy.name })}
                    onChange={() => onToggle(policy)}
                  />
                ) : policy.active ? (
                  <span className="badge badge-good">{t("active")}</span>
                ) : null}
              </td>
              <td className="policy-about" title={policy.description}>
                {policy.description}
              </td>
              {custom ? (
                <>
                  <td className="number">{policy.rules}</td>
                  <td>
                    {policy.changed_at ? <When at={policy.changed_at} relative /> : null}{" "}
                    {policy.changed_by ? (
                      <span className="quiet">{t("activeBy", { user: policy.changed_by })}</span>
                    ) : null}
                  </td>
                </>
              ) : null}
              {mayManage ? (
                <td className="actions">
                  <span className="policy-actions">
                    <Duplicate site={site.id} policy={policy} small />
                    {custom ? (
                      <Button
                        size="small"
                        disabled={policy.active}
                        title={policy.active ? t("removeActive") : undefined}
                        aria-label={t("removeLabel", { policy: policy.name })}
                        onClick={() => onRemove(policy)}
                      >
                        {t("remove")}
                      </Button>
                    ) : null}
                  </span>
                </td>
              ) : null}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Makes a copy and opens it. */
export function Duplicate(props: { site: string; policy: { id: string; name: string }; small?: boolean }) {
  const { site, policy, small = false } = props;
  const { t } = useTranslation("policies");
  const notes = useNotes();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [busy, setBusy] = useState(false);
  const copy = async () => {
    setBusy(true);
    try {
      const made = await answer(
        api.POST("/api/v1/sites/{id}/policies/{policy}/duplicate", {
          params: { path: { id: site, policy: policy.id } },
          body: {},
        }),
      );
      await client.invalidateQueries({ queryKey: policiesQuery(site).queryKey });
      void notes.success(t("duplicated"));
      void navigate({ to: "/policies/$policy", params: { policy: made.id }, search: { site } });
    } catch (error) {
      void notes.error(asApiError(error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button
      {...(small ? { size: "small" as const } : {})}
      loading={busy}
      aria-label={t("duplicateLabel", { policy: policy.name })}
      onClick={() => void copy()}
    >
      {t("duplicate")}
    </Button>
  );
}

/** Deletes a policy; throws where that is refused. */
export function useRemove(site: string): (policy: string) => Promise<void> {
  const { t } = useTranslation("policies");
  const notes = useNotes();
  const client = useQueryClient();
  return async (policy) => {
    await answer(
      api.DELETE("/api/v1/sites/{id}/policies/{policy}", { params: { path: { id: site, policy } } }),
    );
    await client.invalidateQueries({ queryKey: policiesQuery(site).queryKey });
    void notes.success(t("removed"));
  };
}
