import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useRouteContext } from "@tanstack/react-router";
import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { sessionsQuery } from "../../api/queries";
import type { Me, OpenSession } from "../../api/types";
import { ActionsHead } from "../../app/actions-head";
import { Confirm } from "../../app/confirm";
import { useNotes } from "../../app/notes";
import { Preferences } from "../../app/preferences";
import { ErrorState, SkeletonRows } from "../../app/states";
import { useTitle } from "../../app/title";
import { When } from "../../app/when";
import { browserName } from "../../format/browser";
import { sentence } from "../../format/sentence";
import "../../i18n/account";
import "./account.css";

export function AccountPage() {
  const { t } = useTranslation();
  useTitle(t("account.title"));
  const { me } = useRouteContext({ from: "/app" });
  return (
    <div className="page account">
      <header className="page-head">
        <div>
          <h1>{t("account.title")}</h1>
          <p className="quiet">{t("account.about")}</p>
        </div>
      </header>
      <div className="account-top">
        <Person me={me} />
        <section className="panel account-preferences" aria-label={t("account.preferences")}>
          <h2>{t("account.preferences")}</h2>
          <Preferences />
        </section>
      </div>
      <Sessions />
    </div>
  );
}

function Person({ me }: { me: Me }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  return (
    <section className="panel" aria-label={t("account.user")}>
      <h2 className="account-name">{me.user}</h2>
      <dl className="account-facts">
        <dt>{t("account.role")}</dt>
        <dd>{t(`roles.${me.role}`, { defaultValue: me.role })}</dd>
        <dt>{t("account.may")}</dt>
        <dd>
          {me.permissions.map((permission) => (
            <div key={permission}>{t(`permissions.${permission as "play-recordings"}`, permission)}</div>
          ))}
        </dd>
      </dl>
      {me.local ? (
        <Button onClick={() => void navigate({ to: "/password", search: { to: "/account" } })}>
          {t("account.change")}
        </Button>
      ) : (
        <p className="quiet">{t("account.elsewhere")}</p>
      )}
    </section>
  );
}

function Sessions() {
  const { t } = useTranslation();
  const notes = useNotes();
  const client = useQueryClient();
  const sessions = useQuery(sessionsQuery);
  const [everywhere, setEverywhere] = useState(false);
  const [ending, setEnding] = useState<string>();

  const end = async (session: OpenSession) => {
    setEnding(session.id);
    try {
      await answer(
        api.DELETE("/api/v1/me/sessions/{id}", {
          params: { path: { id: session.id } },
        }),
      );
      void notes.success(t("account.ended"));
    } catch (error) {
      void notes.error(sentence(error instanceof Error ? error.message : String(error)));
    }
    setEnding(undefined);
    await client.invalidateQueries({ queryKey: sessionsQuery.queryKey });
  };

  return (
    <section className="account-sessions" aria-label={t("account.sessions")}>
      <header className="page-head">
        <div>
          <h2>{t("account.sessions")}</h2>
          <p className="quiet">{t("account.sessionsAbout")}</p>
        </div>
        <Button onClick={() => setEverywhere(true)}>{t("account.everywhere")}</Button>
      </header>
      {sessions.data ? (
        <SessionsTable items={sessions.data.items} ending={ending} onEnd={(session) => void end(session)} />
      ) : sessions.isError ? (
        <ErrorState error={sessions.error} onRetry={() => void sessions.refetch()} />
      ) : (
        <SkeletonRows rows={2} />
      )}
      {everywhere ? (
        <SignOutEverywhere count={sessions.data?.items.length ?? 1} onClose={() => setEverywhere(false)} />
      ) : null}
    </section>
  );
}

interface TableProps {
  items: OpenSession[];
  ending: string | undefined;
  onEnd: (session: OpenSession) => void;
}

function SessionsTable({ items, ending, onEnd }: TableProps) {
  const { t } = useTranslation();
  return (
    <div className="table-frame">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t("account.browser")}</th>
            <th scope="col">{t("account.address")}</th>
            <th scope="col">{t("account.opened")}</th>
            <th scope="col">{t("account.used")}</th>
            <th scope="col">{t("account.ends")}</th>
            <ActionsHead />
          </tr>
        </thead>
        <tbody>
          {items.map((session) => {
            const browser = browserName(session.browser) || t("account.unknown");
            return (
              <tr key={session.id} data-id={session.id}>
                <td title={session.browser}>{browser}</td>
                <td>{session.address}</td>
                <td>
                  <When at={session.created_at} />
                </td>
                <td>
                  <When at={session.last_seen} relative />
                </td>
                <td>
                  <When at={session.ends_at} />
                </td>
                <td className="actions">
                  {session.current ? (
                    <span className="badge badge-good">{t("account.current")}</span>
                  ) : (
                    <Button
                      size="small"
                      loading={ending === session.id}
                      aria-label={t("account.endLabel", { browser, address: session.address })}
                      onClick={() => onEnd(session)}
                    >
                      {t("account.end")}
                    </Button>
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function SignOutEverywhere({ count, onClose }: { count: number; onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const client = useQueryClient();
  const leave = async () => {
    await answer(api.DELETE("/api/v1/me/sessions"));
    await navigate({ to: "/sign-in", search: {} });
    // Nothing of one person's lists may be left for the next.
    client.clear();
  };
  return (
    <Confirm
      title={t("account.everywhereTitle")}
      action={t("account.everywhere")}
      onConfirm={leave}
      onClose={onClose}
    >
      <p>{count > 1 ? t("account.everywhereAbout", { count }) : t("account.everywhereOne")}</p>
    </Confirm>
  );
}
