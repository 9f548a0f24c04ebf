import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Alert, Button, Input } from "antd";
import { type FormEvent, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { type ApiError, asApiError } from "../../api/problem";
import { meQuery, signInMethodsQuery } from "../../api/queries";
import { Choose } from "../../app/choose";
import { Field } from "../../app/field";
import { useStored } from "../../app/store";
import { useTitle } from "../../app/title";
import "../../i18n/entering";
import "./sign-in.css";

export function SignInPage() {
  const { t } = useTranslation(["translation", "entering"]);
  useTitle(t("signIn.title"));
  const { to, ended, problem: refusal, directory, subject } = useSearch({ from: "/sign-in" });
  const navigate = useNavigate();
  const client = useQueryClient();
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [checked, setChecked] = useState(false);
  const wait = useCountdown();
  const methods = useQuery(signInMethodsQuery).data?.items ?? [];
  const directories = methods.filter((method) => method.kind === "ldap");
  const providers = methods.filter((method) => method.kind === "openid");
  const [remembered, setBy] = useStored("playhead.sign-in", (stored) =>
    typeof stored === "string" ? stored : "",
  );
  // Whoever chose one that is gone has a local account again.
  const by = directories.some((method) => method.id === remembered) ? remembered : "";

  const signIn = useMutation({
    mutationFn: () =>
      answer(
        api.POST("/api/v1/sign-in", {
          body: { user: user.trim(), password, ...(by ? { directory: by } : {}) },
        }),
      ),
    onSuccess: async (me) => {
      client.setQueryData(meQuery.queryKey, me);
      if (me.must_change_password) await navigate({ to: "/password", search: { to }, replace: true });
      else await navigate({ href: to ?? "/", replace: true });
    },
    onError: (error) => {
      const problem = asApiError(error);
      if (problem.status === 429) wait.start(problem.retryAfter ?? 30);
      setPassword("");
    },
  });

  const submit = (event: FormEvent) => {
    event.preventDefault();
    setChecked(true);
    if (user.trim() && password && !signIn.isPending && wait.seconds === 0) signIn.mutate();
  };
  const problem = signIn.error ? asApiError(signIn.error) : undefined;

  return (
    <main className="sign-in">
      <form className="sign-in-card" onSubmit={submit} noValidate>
        <div className="sign-in-brand">
          <img src="/favicon.svg" alt="" width={32} height={32} />
          <span>{t("product")}</span>
        </div>
        <h1>{t("signIn.title")}</h1>
        {ended && !problem ? <Alert type="info" showIcon title={t("signIn.ended")} /> : null}
        {refusal && !problem ? (
          <Refusal code={refusal} directory={directory ?? ""} subject={subject} />
        ) : (
          <Outcome problem={problem} seconds={wait.seconds} />
        )}
        {directories.length > 0 ? (
          <Field label={t("entering:by")}>
            {(props) => (
              <Choose
                {...props}
                value={by}
                options={[
                  ...directories.map((method) => ({ value: method.id, label: method.name })),
                  { value: "", label: t("entering:local") },
                ]}
                onChange={setBy}
              />
            )}
          </Field>
        ) : null}
        <Field label={t("signIn.user")} error={checked && !user.trim() ? t("signIn.userMissing") : undefined}>
          {(props) => (
            <Input
              {...props}
              autoFocus
              autoComplete="username"
              autoCapitalize="none"
              spellCheck={false}
              value={user}
              onChange={(event) => setUser(event.target.value)}
            />
          )}
        </Field>
        <Field
          label={t("signIn.password")}
          error={checked && !password && !problem ? t("signIn.passwordMissing") : undefined}
        >
          {(props) => (
            <Input.Password
              {...props}
              autoComplete="current-password"
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
          )}
        </Field>
        <Button type="primary" htmlType="submit" block loading={signIn.isPending} disabled={wait.seconds > 0}>
          {t("signIn.submit")}
        </Button>
        {providers.length > 0 ? (
          <>
            <div className="sign-in-or quiet">{t("entering:or")}</div>
            {providers.map((method) => (
              <Button
                key={method.id}
                block
                className="sign-in-provider"
                href={`/api/v1/sign-in/openid/${method.id}?to=${encodeURIComponent(to ?? "/")}`}
              >
                {t("entering:with", { directory: method.name })}
              </Button>
            ))}
          </>
        ) : null}
      </form>
    </main>
  );
}

/** Why somebody who came back from a provider was not let in. */
function Refusal(props: { code: string; directory: string; subject: string | undefined }) {
  const { t } = useTranslation(["translation", "entering"]);
  const text = t(`entering:problems.${props.code as "failed"}`, {
    directory: props.directory,
    defaultValue: t("entering:problems.failed"),
  });
  return (
    <Alert
      type={props.code === "denied" || props.code === "expired" ? "warning" : "error"}
      showIcon
      role="alert"
      title={text}
      description={props.subject ? t("entering:subject", { subject: props.subject }) : undefined}
    />
  );
}

function Outcome({ problem, seconds }: { problem: ApiError | undefined; seconds: number }) {
  const { t } = useTranslation();
  if (!problem) return null;
  if (problem.status === 429) {
    // When the time is over nothing stands in the way of the next attempt.
    if (seconds === 0) return null;
    return <Alert type="warning" showIcon role="alert" title={t("signIn.tooMany", { count: seconds })} />;
  }
  const text =
    problem.status === 401
      ? t("signIn.wrong")
      : problem.away
        ? `${t("errors.unreachableTitle")}. ${t("errors.unreachableForm")}`
        : `${problem.message} ${problem.id ? `(${t("common.errorId")} ${problem.id})` : ""}`;
  return <Alert type="error" showIcon role="alert" title={text} />;
}

/** Counts seconds down to 0. */
function useCountdown(): { seconds: number; start: (seconds: number) => void } {
  const [until, setUntil] = useState(0);
  const [now, setNow] = useState(0);
  useEffect(() => {
    if (until === 0) return;
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, [until]);
  return {
    seconds: Math.max(0, Math.ceil((until - now) / 1000)),
    start: (seconds) => {
      setNow(Date.now());
      setUntil(Date.now() + seconds * 1000);
    },
  };
}
