import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useRouteContext, useSearch } from "@tanstack/react-router";
import { Button, Input } from "antd";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { asApiError } from "../../api/problem";
import type { Site } from "../../api/types";
import { Confirm } from "../../app/confirm";
import { Field } from "../../app/field";
import { useNotes } from "../../app/notes";
import { ProblemAlert } from "../../app/states";
import { useTitle } from "../../app/title";
import { Activate } from "./activate";
import { Conflict } from "./conflict";
import { type Draft, faults, sameDraft, toDraft, toPolicy } from "./draft";
import type { FactsSearch } from "./facts";
import { Leaving } from "./leave";
import { Duplicate, useRemove } from "./page";
import { policiesQuery, policyQuery, readPolicy, versionsQuery } from "./queries";
import { Rules } from "./rules";
import { Simulate } from "./simulate";
import type { PolicyDetail } from "./types";
import { Versions } from "./versions";
import { Deed } from "./words";

interface Props {
  site: Site;
  /** The policy as it was read; a new one without it. */
  base: PolicyDetail | undefined;
  onRestored?: (policy: PolicyDetail) => void;
}

const TABS = ["rules", "try", "versions"] as const;

/** A policy to look at, or to change. Nothing is kept before it is saved. */
export function Editor({ site, base, onRestored }: Props) {
  const { t } = useTranslation("policies");
  const { me } = useRouteContext({ from: "/app" });
  const search = useSearch({ from: "/app/policies/$policy" });
  const navigate = useNavigate({ from: "/policies/$policy" });
  const client = useQueryClient();
  const notes = useNotes();
  const mayManage = me.permissions.includes("manage-policies");
  const system = base?.kind === "system";
  const kept = useRef<Draft>(undefined);
  kept.current ??= toDraft(base?.policy ?? { name: base?.name ?? "", description: base?.description ?? "" });
  const [draft, setDraft] = useState<Draft>(kept.current);
  const [read, setRead] = useState(base);
  const [open, setOpen] = useState<string>();
  const [checked, setChecked] = useState(false);
  const [theirs, setTheirs] = useState<PolicyDetail>();
  const [asking, setAsking] = useState<"activate" | "remove">();
  const [facts, setFacts] = useState<FactsSearch>({});
  const remove = useRemove(site.id);
  // What was deleted or saved is left without a question.
  const done = useRef(false);
  const dirty = !sameDraft(draft, kept.current);
  const editable = mayManage && !system;
  useTitle(`${draft.name || t("createTitle")} · ${t("title")}`);
  const take = (policy: PolicyDetail) => {
    const next = toDraft(policy.policy ?? { name: policy.name });
    kept.current = next;
    setDraft(next);
    setRead(policy);
    setOpen(undefined);
    setChecked(false);
    client.setQueryData(policyQuery(site.id, policy.id).queryKey, policy);
  };
  const save = useMutation({
    mutationFn: (version: number | undefined) => {
      const policy = toPolicy(draft);
      if (!read) {
        return answer(
          api.POST("/api/v1/sites/{id}/policies", { params: { path: { id: site.id } }, body: policy }),
        );
      }
      return answer(
        api.PUT("/api/v1/sites/{id}/policies/{policy}", {
          params: { path: { id: site.id, policy: read.id } },
          body: { version: version ?? read.version ?? 1, policy },
        }),
      );
    },
    onSuccess: async (policy) => {
      setTheirs(undefined);
      await client.invalidateQueries({ queryKey: policiesQuery(site.id).queryKey });
      await client.invalidateQueries({ queryKey: versionsQuery(site.id, policy.id).queryKey });
      if (read) {
        take(policy);
        void notes.success(t("saved", { version: policy.version ?? 0 }));
      } else {
        done.current = true;
        void notes.success(t("created"));
        await navigate({ params: { policy: policy.id }, search: { site: site.id }, replace: true });
      }
    },
    onError: async (error) => {
      if (asApiError(error).status !== 409 || !read) return;
      // Somebody else's change, or only a name that another policy has.
      const newest = await readPolicy(site.id, read.id).catch(() => undefined);
      if (newest && newest.version !== read.version) setTheirs(newest);
    },
  });

  const nameWrong =
    draft.name.trim() === ""
      ? t("nameMissing")
      : [...draft.name.trim()].length > 100
        ? t("nameLong")
        : undefined;
  const aboutWrong = [...draft.description].length > 300 ? t("descriptionLong") : undefined;
  const wrongRule = draft.rules.find((rule) => faults(rule, draft.rules).length > 0);
  const submit = () => {
    setChecked(true);
    save.reset();
    if (nameWrong || aboutWrong || save.isPending) return;
    if (wrongRule) setOpen(wrongRule.key);
    else save.mutate(undefined);
  };
  const tab = base
    ? (TABS.find((name) => name === search.tab) ?? "rules")
    : search.tab === "try"
      ? "try"
      : "rules";
  const go = (change: Partial<typeof search>) =>
    void navigate({ search: { ...search, ...change }, replace: true });
  const tabs = base && !system ? TABS : (["rules", "try"] as const);

  return (
    <>
      <header className="page-head policy-head">
        <div>
          <h1>{read ? read.name : t("createTitle")}</h1>
          <p className="policy-badges">
            {read?.active ? <span className="badge badge-good">{t("active")}</span> : null}
            {read?.version ? <span className="badge">{t("version", { version: read.version })}</span> : null}
            {dirty ? <span className="badge badge-warn">{t("unsaved")}</span> : null}
            {system ? <span className="quiet">{read?.description}</span> : null}
          </p>
        </div>
        {read && mayManage ? (
          <>
            <Duplicate site={site.id} policy={read} />
            {!system ? (
              <Button
                disabled={read.active}
                title={read.active ? t("removeActive") : undefined}
                onClick={() => setAsking("remove")}
              >
                {t("remove")}
              </Button>
            ) : null}
            {!read.active ? (
              <Button
                disabled={dirty}
                title={dirty ? t("unsaved") : undefined}
                onClick={() => setAsking("activate")}
              >
                {t("activate")}
              </Button>
            ) : null}
          </>
        ) : null}
        {editable ? (
          <>
            {dirty && read ? (
              <Button
                onClick={() => {
                  if (kept.current) setDraft(kept.current);
                  setOpen(undefined);
                  save.reset();
                }}
              >
                {t("discard")}
              </Button>
            ) : null}
            <Button
              type="primary"
              disabled={read !== undefined && !dirty}
              loading={save.isPending}
              onClick={submit}
            >
              {t("save")}
            </Button>
          </>
        ) : null}
      </header>
      {theirs ? null : <ProblemAlert error={save.error} />}
      {!mayManage ? <p className="quiet">{t("readOnly")}</p> : null}
      <nav className="tabs" aria-label={t("tabs.label")}>
        {tabs.map((name) => (
          <button
            key={name}
            type="button"
            className="tab"
            aria-current={tab === name ? "page" : undefined}
            onClick={() => go({ tab: name === "rules" ? undefined : name })}
          >
            {t(`tabs.${name}`)}
          </button>
        ))}
      </nav>
      {tab === "rules" ? (
        system && base ? (
          <div className="panel">
            <p>{t("systemOnly")}</p>
            {base.action ? <Deed action={base.action} options={base.options} /> : null}
            {mayManage ? <p className="quiet">{t("systemCopy")}</p> : null}
          </div>
        ) : (
          <>
            {editable ? (
              <div className="rule-names">
                <Field label={t("name")} hint={t("nameHint")} error={checked ? nameWrong : undefined}>
                  {(props) => (
                    <Input
                      {...props}
                      autoFocus={!base}
                      value={draft.name}
                      maxLength={120}
                      onChange={(event) => setDraft({ ...draft, name: event.target.value })}
                    />
                  )}
                </Field>
                <Field label={t("description")} error={aboutWrong}>
                  {(props) => (
                    <Input
                      {...props}
                      value={draft.description}
                      maxLength={320}
                      onChange={(event) => setDraft({ ...draft, description: event.target.value })}
                    />
                  )}
                </Field>
              </div>
            ) : (
              <p>{draft.description}</p>
            )}
            <Rules
              site={site.id}
              rules={draft.rules}
              open={open}
              onOpen={setOpen}
              checked={checked}
              {...(editable ? { onChange: (rules) => setDraft({ ...draft, rules }) } : {})}
            />
          </>
        )
      ) : null}
      {tab === "try" ? (
        <>
          <p className="quiet">
            {t("simulator.about")} {dirty ? `${t("simulator.draft")}.` : ""}
          </p>
          <Simulate
            site={site.id}
            facts={facts}
            onFacts={setFacts}
            {...(read && !dirty
              ? { policy: read.id }
              : { draft: { ...toPolicy(draft), name: draft.name.trim() || t("createTitle") } })}
          />
        </>
      ) : null}
      {tab === "versions" && read ? (
        <Versions
          site={site.id}
          policy={read}
          mayManage={mayManage}
          from={whole(search.from)}
          to={whole(search.to)}
          onCompare={(from, to) => go({ from: String(from), to: String(to) })}
          onRestored={(policy) => {
            take(policy);
            onRestored?.(policy);
          }}
        />
      ) : null}
      {theirs && read ? (
        <Conflict
          site={site.id}
          base={read}
          theirs={theirs}
          mine={toPolicy(draft)}
          busy={save.isPending}
          error={asApiError(save.error).status === 409 ? undefined : save.error}
          onTake={() => {
            take(theirs);
            setTheirs(undefined);
            save.reset();
          }}
          onKeep={() => save.mutate(theirs.version ?? undefined)}
          onClose={() => setTheirs(undefined)}
        />
      ) : null}
      {asking === "activate" && read ? (
        <Activate
          site={site}
          policy={read}
          onClose={() => setAsking(undefined)}
          onDone={() => take({ ...read, active: true })}
        />
      ) : null}
      {asking === "remove" && read ? (
        <Confirm
          title={t("removeTitle", { policy: read.name })}
          action={t("remove")}
          onConfirm={async () => {
            await remove(read.id);
            done.current = true;
            await navigate({ to: "/policies", search: { site: site.id } });
          }}
          onClose={() => setAsking(undefined)}
        >
          <p>{t("removeAbout")}</p>
        </Confirm>
      ) : null}
      <Leaving dirty={() => dirty && !done.current}>
        <p>{t("leaveAbout")}</p>
      </Leaving>
    </>
  );
}

function whole(text: string | undefined): number | undefined {
  const number = Number(text);
  return Number.isInteger(number) && number > 0 ? number : undefined;
}
