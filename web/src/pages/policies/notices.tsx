import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useRouteContext, useSearch } from "@tanstack/react-router";
import { Button, Input } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { Field } from "../../app/field";
import { useNotes } from "../../app/notes";
import { ErrorState, ProblemAlert, SkeletonRows } from "../../app/states";
import { Leaving } from "./leave";
import { noticesQuery } from "./queries";
import { PolicyFrame } from "./site";
import type { Notice } from "./types";

/** What users are told, in their languages. */
export function NoticesPage() {
  const { t } = useTranslation("policies");
  const search = useSearch({ from: "/app/policies/notices" });
  const navigate = useNavigate({ from: "/policies/notices" });
  return (
    <PolicyFrame
      page="notices"
      about={t("notices.about")}
      site={search.site}
      onSite={(site) => void navigate({ search: { site }, replace: true })}
    >
      {(site) => <Notices key={site.id} site={site.id} />}
    </PolicyFrame>
  );
}

function Notices({ site }: { site: string }) {
  const found = useQuery(noticesQuery(site));
  if (found.isError && !found.data)
    return <ErrorState error={found.error} onRetry={() => void found.refetch()} />;
  if (!found.data) return <SkeletonRows rows={6} />;
  return <Texts site={site} kept={found.data.items} />;
}

/** A text with something that stays the same while its language is typed. */
type Row = Notice & { key: number };

function Texts({ site, kept }: { site: string; kept: Notice[] }) {
  const { t } = useTranslation("policies");
  const { me } = useRouteContext({ from: "/app" });
  const client = useQueryClient();
  const notes = useNotes();
  const mayManage = me.permissions.includes("manage-policies");
  const [rows, setRows] = useState<Row[]>(() => kept.map((notice, key) => ({ ...notice, key })));
  const [checked, setChecked] = useState(false);
  const plain = (all: readonly Row[]): Notice[] => all.map(({ key: _, ...notice }) => notice);
  const dirty = JSON.stringify(plain(rows)) !== JSON.stringify(kept);
  const save = useMutation({
    mutationFn: () =>
      answer(
        api.PUT("/api/v1/sites/{id}/notices", {
          params: { path: { id: site } },
          body: { items: plain(rows) },
        }),
      ),
    onSuccess: (saved) => {
      setRows(saved.items.map((notice, key) => ({ ...notice, key })));
      setChecked(false);
      client.setQueryData(noticesQuery(site).queryKey, saved);
      void notes.success(t("notices.saved"));
    },
  });
  const change = (key: number, part: Partial<Notice>) =>
    setRows(rows.map((row) => (row.key === key ? { ...row, ...part } : row)));
  const add = () => {
    const fresh = {
      key: Math.max(0, ...rows.map((row) => row.key)) + 1,
      language: rows.length === 0 ? "en" : "",
      title: rows[0]?.title ?? t("notices.defaultTitle"),
      text: rows[0]?.text ?? t("notices.defaultText"),
      consent: rows[0]?.consent ?? t("notices.defaultConsent"),
    };
    setRows([...rows, fresh]);
  };
  const wrong = rows.some((row) => Object.values(noticeFaults(row, rows)).some(Boolean));
  const preset = {
    language: "en",
    title: t("notices.defaultTitle"),
    text: t("notices.defaultText"),
    consent: t("notices.defaultConsent"),
  };
  return (
    <div className="notices">
      <ProblemAlert error={save.error} />
      {rows.length === 0 ? (
        <section className="panel notice" data-testid="empty">
          <div>
            <h2>{t("notices.emptyTitle")}</h2>
            <p>{t("notices.empty")}</p>
          </div>
          <Preview notice={preset} />
        </section>
      ) : null}
      {rows.map((row, at) => {
        const faults = noticeFaults(row, rows);
        const shown = (fault: string | false | undefined) =>
          checked && fault ? t(`notices.${fault as "textWrong"}`) : undefined;
        return (
          <section
            key={row.key}
            className="panel notice"
            data-language={row.language}
            aria-label={`${t("notices.language")} ${row.language}`}
          >
            <fieldset className="notice-form" disabled={!mayManage}>
              <div className="notice-top">
                <Field
                  label={t("notices.language")}
                  hint={t("notices.languageHint")}
                  error={shown(faults.language)}
                >
                  {(props) => (
                    <Input
                      {...props}
                      maxLength={35}
                      spellCheck={false}
                      value={row.language}
                      onChange={(event) => change(row.key, { language: event.target.value })}
                    />
                  )}
                </Field>
                <Field label={t("notices.heading")} error={shown(faults.title)}>
                  {(props) => (
                    <Input
                      {...props}
                      maxLength={120}
                      value={row.title}
                      onChange={(event) => change(row.key, { title: event.target.value })}
                    />
                  )}
                </Field>
              </div>
              {(["text", "consent"] as const).map((name) => (
                <Field
                  key={name}
                  label={t(`notices.${name}`)}
                  hint={t(`notices.${name}Hint`)}
                  error={shown(faults[name])}
                >
                  {(props) => (
                    <Input.TextArea
                      {...props}
                      rows={4}
                      lang={row.language}
                      dir="auto"
                      maxLength={2100}
                      value={row[name]}
                      onChange={(event) => change(row.key, { [name]: event.target.value })}
                    />
                  )}
                </Field>
              ))}
              <div className="notice-foot">
                {at === 0 ? (
                  <span className="quiet">{t("notices.isFirst")}</span>
                ) : mayManage ? (
                  <Button
                    size="small"
                    onClick={() => setRows([row, ...rows.filter((other) => other !== row)])}
                  >
                    {t("notices.first")}
                  </Button>
                ) : null}
                {mayManage ? (
                  <Button
                    size="small"
                    aria-label={t("notices.removeLabel", { language: row.language })}
                    onClick={() => setRows(rows.filter((other) => other !== row))}
                  >
                    {t("notices.remove")}
                  </Button>
                ) : null}
              </div>
            </fieldset>
            <Preview notice={row} />
          </section>
        );
      })}
      {mayManage ? (
        <div className="notice-save">
          <Button onClick={add}>{t("notices.add")}</Button>
          <Button
            type="primary"
            disabled={!dirty}
            loading={save.isPending}
            onClick={() => {
              setChecked(true);
              if (!wrong && !save.isPending) save.mutate();
            }}
          >
            {t("notices.save")}
          </Button>
          {dirty ? <span className="badge badge-warn">{t("unsaved")}</span> : null}
        </div>
      ) : null}
      <Leaving dirty={() => dirty}>
        <p>{t("unsavedNote")}</p>
      </Leaving>
    </div>
  );
}

const TAG = /^[a-z]{2,8}([-_][a-z0-9]{1,8})*$/i;

function noticeFaults(row: Row, all: readonly Row[]) {
  const length = (text: string, most: number) => text.trim() === "" || [...text].length > most;
  const tag = (language: string) => language.trim().replaceAll("_", "-").toLowerCase();
  const twice = all.some((other) => other !== row && tag(other.language) === tag(row.language));
  return {
    language: !TAG.test(row.language.trim()) ? "languageWrong" : twice && "languageTwice",
    title: length(row.title, 100) && "headingWrong",
    text: length(row.text, 2000) && "textWrong",
    consent: length(row.consent, 2000) && "textWrong",
  };
}

/** The notice as a user sees it, on a screen of its own. */
function Preview({ notice }: { notice: Notice }) {
  const { t } = useTranslation("policies");
  const [kind, setKind] = useState<"text" | "consent">("text");
  return (
    <section className="notice-preview" aria-label={t("notices.preview")}>
      <div className="notice-kinds">
        <span className="quiet">{t("notices.preview")}</span>
        {(["text", "consent"] as const).map((name) => (
          <Button
            key={name}
            size="small"
            type={kind === name ? "primary" : "default"}
            aria-pressed={kind === name}
            onClick={() => setKind(name)}
          >
            {t(name === "text" ? "notices.asNotice" : "notices.asConsent")}
          </Button>
        ))}
      </div>
      <div className="notice-screen" data-kind={kind}>
        <div className="notice-card" lang={notice.language} dir="auto">
          <b>
            <span className="notice-dot" aria-hidden />
            {notice.title}
          </b>
          <p>{notice[kind]}</p>
          <div className="notice-buttons" dir="ltr" aria-hidden>
            {kind === "text" ? (
              <span className="notice-button">{t("notices.ok")}</span>
            ) : (
              <>
                <span className="notice-button notice-plain">{t("notices.deny")}</span>
                <span className="notice-button">{t("notices.accept")}</span>
              </>
            )}
          </div>
        </div>
      </div>
      <span className="quiet">{t("notices.buttonsNote")}</span>
    </section>
  );
}
