import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useRouteContext, useSearch } from "@tanstack/react-router";
import { Alert, Button, Input } from "antd";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { meQuery } from "../../api/queries";
import { Field } from "../../app/field";
import { useNotes } from "../../app/notes";
import { ProblemAlert } from "../../app/states";
import { useTitle } from "../../app/title";
import "./sign-in.css";

const SHORTEST = 12;

export function PasswordPage() {
  const { t } = useTranslation();
  useTitle(t("password.title"));
  const { me } = useRouteContext({ from: "/password" });
  const { to } = useSearch({ from: "/password" });
  const navigate = useNavigate();
  const client = useQueryClient();
  const notes = useNotes();
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [repeat, setRepeat] = useState("");
  const [checked, setChecked] = useState(false);

  const errors = {
    current: current ? undefined : t("password.currentMissing"),
    next:
      [...next].length < SHORTEST
        ? t("password.short", { count: [...next].length })
        : next === current
          ? t("password.same")
          : undefined,
    repeat: repeat === next ? undefined : t("password.different"),
  };
  const change = useMutation({
    mutationFn: () => answer(api.POST("/api/v1/me/password", { body: { current, new: next } })),
    onSuccess: async () => {
      client.setQueryData(meQuery.queryKey, { ...me, must_change_password: false });
      void notes.success(t("password.done"));
      await navigate({ href: to ?? "/", replace: true });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setChecked(true);
    if (!errors.current && !errors.next && !errors.repeat && !change.isPending) change.mutate();
  };

  return (
    <main className="sign-in">
      <form className="sign-in-card" onSubmit={submit} noValidate>
        <h1>{t("password.title")}</h1>
        {me.must_change_password ? <Alert type="info" showIcon title={t("password.forced")} /> : null}
        <ProblemAlert error={change.error} />
        <input type="text" autoComplete="username" value={me.user} readOnly hidden />
        <Field label={t("password.current")} error={checked ? errors.current : undefined}>
          {(props) => (
            <Input.Password
              {...props}
              autoFocus
              autoComplete="current-password"
              value={current}
              onChange={(event) => setCurrent(event.target.value)}
            />
          )}
        </Field>
        <Field label={t("password.next")} hint={t("password.hint")} error={checked ? errors.next : undefined}>
          {(props) => (
            <Input.Password
              {...props}
              autoComplete="new-password"
              value={next}
              onChange={(event) => setNext(event.target.value)}
            />
          )}
        </Field>
        <Field label={t("password.repeat")} error={checked ? errors.repeat : undefined}>
          {(props) => (
            <Input.Password
              {...props}
              autoComplete="new-password"
              value={repeat}
              onChange={(event) => setRepeat(event.target.value)}
            />
          )}
        </Field>
        <Button type="primary" htmlType="submit" block loading={change.isPending}>
          {t("password.submit")}
        </Button>
        {me.must_change_password ? null : (
          <Button block onClick={() => void navigate({ href: to ?? "/" })}>
            {t("common.cancel")}
          </Button>
        )}
      </form>
    </main>
  );
}
