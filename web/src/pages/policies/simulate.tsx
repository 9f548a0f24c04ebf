import { useMutation, useQuery } from "@tanstack/react-query";
import { useRouteContext } from "@tanstack/react-router";
import { Button, Input } from "antd";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { Choose } from "../../app/choose";
import { Field } from "../../app/field";
import { useNotes } from "../../app/notes";
import { ProblemAlert, SkeletonRows } from "../../app/states";
import { useZone } from "../../app/zone";
import { dateTime } from "../../format/time";
import { Entries } from "./entries";
import { type FactsSearch, joinNames, readAsked, splitNames } from "./facts";
import { ask, runningQuery } from "./queries";
import { useKnown } from "./suggestions";
import type { PolicyQuestion } from "./types";
import { Verdicts } from "./verdicts";

interface Props {
  site: string;
  facts: FactsSearch;
  onFacts: (facts: FactsSearch) => void;
  /** What is asked: a policy that is kept, or one that is not; the active one without either. */
  policy?: string | undefined;
  draft?: PolicyQuestion["draft"] | undefined;
}

/** Asks what would happen to a session, and shows the answer. */
export function Simulate({ site, facts, onFacts, policy, draft }: Props) {
  const { t } = useTranslation("policies");
  const asked = readAsked(facts);
  const question = asked && "question" in asked ? asked.question : undefined;
  const body = { ...question, ...(draft ? { draft } : policy ? { policy } : {}) };
  const found = useQuery({
    queryKey: ["simulation", site, body],
    enabled: question !== undefined,
    staleTime: 0,
    retry: false,
    queryFn: ({ signal }) => ask(site, body, signal),
  });
  return (
    <div className="simulate">
      <Facts
        site={site}
        facts={facts}
        onFacts={onFacts}
        error={asked && "wrong" in asked ? t("simulator.addressWrong") : undefined}
      />
      <section className="simulate-answer" aria-label={t("simulator.answer")} aria-live="polite">
        {!question ? (
          <p className="panel quiet">{t("simulator.nothing")}</p>
        ) : found.error ? (
          <ProblemAlert error={found.error} />
        ) : found.data ? (
          <Verdicts answer={found.data} />
        ) : (
          <SkeletonRows rows={4} />
        )}
      </section>
    </div>
  );
}

interface FactsProps {
  site: string;
  facts: FactsSearch;
  onFacts: (facts: FactsSearch) => void;
  error: string | undefined;
}

function Facts({ site, facts, onFacts, error }: FactsProps) {
  const { t } = useTranslation("policies");
  const { me } = useRouteContext({ from: "/app" });
  const notes = useNotes();
  const zone = useZone();
  const known = useKnown(site);
  const running = useQuery({ ...runningQuery(site), enabled: me.permissions.includes("view-sessions") });
  const sessions = running.data?.items ?? [];
  const chosen = sessions.find((session) => session.id === facts.session);
  const users = splitNames(facts.users);
  const groups = useMutation({
    mutationFn: (user: string) =>
      answer(api.GET("/api/v1/directories/groups", { params: { query: { user } } })),
    onSuccess: (found, user) => {
      const names = found.items.map((item) => item.name);
      if (names.length > 0) void notes.success(t("simulator.lookedUp", { count: names.length }));
      else if (found.problems.length === 0) void notes.info(t("simulator.lookedUpNone", { user }));
      onFacts({ ...facts, groups: joinNames([...new Set([...splitNames(facts.groups), ...names])]) });
    },
  });
  const silent = groups.variables === users[0] ? (groups.data?.problems ?? []) : [];
  const away = silent.length
    ? t(groups.data?.items.length ? "simulator.lookedUpAway" : "simulator.lookedUpSilent", {
        directory: silent.map((problem) => problem.directory.name).join(", "),
        user: users[0] ?? "",
      })
    : undefined;
  const names = (list: "users" | "groups" | "delivery_groups" | "tags", hint?: string) => (
    <Entries
      list={list}
      hint={hint}
      label={list === "users" ? t("simulator.users") : undefined}
      values={splitNames(facts[list])}
      known={known[list]}
      onChange={(next) => onFacts({ ...facts, [list]: joinNames(next) })}
    />
  );
  return (
    <section className="panel facts-form" aria-label={t("simulator.asked")}>
      {sessions.length > 0 || facts.session ? (
        <Field label={t("simulator.session")}>
          {(props) => (
            <Choose
              {...props}
              value={facts.session ?? ""}
              options={[
                { value: "", label: t("simulator.sessionNone") },
                ...(facts.session && !chosen ? [{ value: facts.session, label: facts.session }] : []),
                ...sessions.map((session) => ({
                  value: session.id,
                  label: t("simulator.sessionOf", {
                    user: session.user,
                    host: session.host,
                    application: session.application,
                    time: dateTime(new Date(session.started_at), zone),
                  }),
                })),
              ]}
              onChange={(session) => onFacts({ session: session || undefined })}
            />
          )}
        </Field>
      ) : null}
      {facts.session ? null : (
        <>
          {names("users", t("simulator.usersHint"))}
          {names("groups")}
          {me.permissions.includes("search-directories") && users[0] ? (
            <div>
              <ProblemAlert error={groups.error} />
              <Button size="small" loading={groups.isPending} onClick={() => groups.mutate(users[0] ?? "")}>
                {t("simulator.lookUp")}
              </Button>
              {away ? (
                <p className="stale" role="status" data-testid="groups-away">
                  {away}
                </p>
              ) : null}
            </div>
          ) : null}
          <Entries
            list="applications"
            label={t("simulator.application")}
            single
            values={facts.application ? [facts.application] : []}
            known={known.applications}
            onChange={(next) => onFacts({ ...facts, application: next.at(-1) })}
          />
          <Entries
            list="hosts"
            label={t("simulator.host")}
            single
            values={facts.host ? [facts.host] : []}
            known={known.hosts}
            onChange={(next) => onFacts({ ...facts, host: next.at(-1) })}
          />
          {names("delivery_groups")}
          <Field label={t("simulator.address")} error={error}>
            {(props) => (
              <Input
                {...props}
                spellCheck={false}
                placeholder="10.1.2.3"
                maxLength={100}
                value={facts.address ?? ""}
                onChange={(event) => onFacts({ ...facts, address: event.target.value || undefined })}
              />
            )}
          </Field>
          {names("tags")}
        </>
      )}
    </section>
  );
}
