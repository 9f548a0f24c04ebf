import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Button } from "antd";
import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { ActionsHead } from "../../app/actions-head";
import { Choose } from "../../app/choose";
import { Confirm } from "../../app/confirm";
import { useNotes } from "../../app/notes";
import { ErrorState, ProblemAlert, SkeletonRows } from "../../app/states";
import { When } from "../../app/when";
import { Diff } from "./diff";
import { diffQuery, policiesQuery, versionsQuery } from "./queries";
import type { PolicyDetail } from "./types";

interface Props {
  site: string;
  policy: PolicyDetail;
  mayManage: boolean;
  from: number | undefined;
  to: number | undefined;
  onCompare: (from: number, to: number) => void;
  onRestored: (policy: PolicyDetail) => void;
}

/** Who changed what and when, the difference between any two versions, and the way back to one. */
export function Versions({ site, policy, mayManage, from, to, onCompare, onRestored }: Props) {
  const { t } = useTranslation("policies");
  const notes = useNotes();
  const client = useQueryClient();
  const versions = useQuery(versionsQuery(site, policy.id));
  const [restoring, setRestoring] = useState<number>();
  if (versions.isError) return <ErrorState error={versions.error} onRetry={() => void versions.refetch()} />;
  if (!versions.data) return <SkeletonRows rows={4} />;
  const items = versions.data.items;
  const newest = items[0]?.version ?? 1;
  const end = to ?? newest;
  const start = from ?? Math.max(1, end - 1);
  const restore = async (version: number) => {
    const params = { path: { id: site, policy: policy.id } };
    const old = await answer(
      api.GET("/api/v1/sites/{id}/policies/{policy}/versions/{number}", {
        params: { path: { ...params.path, number: version } },
      }),
    );
    const made = await answer(
      api.PUT("/api/v1/sites/{id}/policies/{policy}", {
        params,
        body: { version: newest, policy: old.policy },
      }),
    );
    await client.invalidateQueries({ queryKey: versionsQuery(site, policy.id).queryKey });
    await client.invalidateQueries({ queryKey: policiesQuery(site).queryKey });
    void notes.success(t("versions.restored", { version: made.version ?? 0 }));
    onRestored(made);
  };
  return (
    <div className="versions">
      <div className="table-frame">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{t("versions.version")}</th>
              <th scope="col">{t("versions.when")}</th>
              <th scope="col">{t("versions.who")}</th>
              <th scope="col" className="number">
                {t("rules")}
              </th>
              <ActionsHead />
            </tr>
          </thead>
          <tbody>
            {items.map((item) => (
              <tr key={item.version} data-version={item.version}>
                <td>
                  {item.version}{" "}
                  {item.version === newest ? <span className="badge">{t("versions.newest")}</span> : null}
                </td>
                <td>
                  <When at={item.changed_at} />
                </td>
                <td className="long">{item.changed_by}</td>
                <td className="number">{item.rules}</td>
                <td className="actions">
                  <span className="policy-actions">
                    {item.version > 1 ? (
                      <Button size="small" onClick={() => onCompare(item.version - 1, item.version)}>
                        {t("versions.show")}
                      </Button>
                    ) : null}
                    {mayManage && item.version !== newest ? (
                      <Button
                        size="small"
                        aria-label={t("versions.restoreLabel", { version: item.version })}
                        onClick={() => setRestoring(item.version)}
                      >
                        {t("versions.restore")}
                      </Button>
                    ) : null}
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {newest > 1 ? (
        <section className="panel" aria-label={t("versions.compare")}>
          <div className="versions-choice">
            <Choice
              label={t("versions.from")}
              value={start}
              versions={items.map((item) => item.version)}
              onChange={(version) => onCompare(version, end)}
            />
            <Choice
              label={t("versions.to")}
              value={end}
              versions={items.map((item) => item.version)}
              onChange={(version) => onCompare(start, version)}
            />
          </div>
          <Between site={site} policy={policy.id} from={start} to={end} />
        </section>
      ) : null}
      {restoring ? (
        <Confirm
          title={t("versions.restoreTitle", { version: restoring })}
          action={t("versions.restore")}
          onConfirm={() => restore(restoring)}
          onClose={() => setRestoring(undefined)}
        >
          <p>{t("versions.restoreAbout")}</p>
          {policy.active ? <p>{t("versions.restoreActive")}</p> : null}
          <Between site={site} policy={policy.id} from={newest} to={restoring} />
        </Confirm>
      ) : null}
    </div>
  );
}

interface ChoiceProps {
  label: string;
  value: number;
  versions: readonly number[];
  onChange: (version: number) => void;
}

function Choice({ label, value, versions, onChange }: ChoiceProps) {
  const id = useId();
  return (
    <span className="versions-one">
      <label htmlFor={id}>{label}</label>
      <Choose
        id={id}
        value={value}
        options={versions.map((version) => ({ value: version, label: String(version) }))}
        onChange={onChange}
      />
    </span>
  );
}

function Between({ site, policy, from, to }: { site: string; policy: string; from: number; to: number }) {
  const diff = useQuery(diffQuery(site, policy, from, to));
  if (diff.error) return <ProblemAlert error={diff.error} />;
  return diff.data ? <Diff diff={diff.data} /> : <SkeletonRows rows={2} />;
}
