import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Button, Checkbox, Input } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { apiClientsQuery } from "../../api/queries";
import type { MadeApiClient, Me } from "../../api/types";
import { Choose } from "../../app/choose";
import { Dialog } from "../../app/dialog";
import { Field } from "../../app/field";
import { Command, ProblemAlert } from "../../app/states";
import { save } from "./save";

const DAYS = [30, 90, 365, 1095] as const;
/** What finding, starting and stopping sessions takes. */
const USUAL = ["view-sessions", "manage-sessions"];
const MOST_NAME = 100;

interface Props {
  /** What the person may do, which is all that can be given. */
  may: Me["permissions"];
  onClose: () => void;
}

/** Makes a client and shows its secret, once. */
export function CreateDialog({ may, onClose }: Props) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState<string[]>(USUAL.filter((permission) => may.includes(permission)));
  const [days, setDays] = useState<number>(365);
  const [tried, setTried] = useState(false);
  const make = useMutation({
    mutationFn: () =>
      answer(
        api.POST("/api/v1/api-clients", {
          body: { name: name.trim(), permissions: chosen, valid_days: days },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: apiClientsQuery.queryKey }),
  });
  const submit = () => {
    if (make.data) return onClose();
    setTried(true);
    if (name.trim() && chosen.length > 0) make.mutate();
  };
  const toggle = (permission: string, on: boolean) =>
    setChosen((before) => (on ? [...before, permission] : before.filter((other) => other !== permission)));

  return (
    <Dialog
      title={t("clients.createTitle")}
      onClose={onClose}
      onSubmit={submit}
      // A click beside the dialog must not lose a secret that is shown only once.
      firm={make.data !== undefined}
      width={640}
      footer={
        make.data ? (
          <Button type="primary" htmlType="submit">
            {t("clients.done")}
          </Button>
        ) : (
          <>
            <Button onClick={onClose}>{t("common.cancel")}</Button>
            <Button type="primary" htmlType="submit" loading={make.isPending}>
              {t("clients.make")}
            </Button>
          </>
        )
      }
    >
      <div className="form">
        <ProblemAlert error={make.error} />
        {make.data ? (
          <Made made={make.data} />
        ) : (
          <>
            <p className="form-about">{t("clients.createAbout")}</p>
            <Field
              label={t("clients.name")}
              hint={t("clients.nameHint")}
              error={tried && !name.trim() ? t("clients.nameMissing") : undefined}
            >
              {(props) => (
                <Input
                  {...props}
                  data-first
                  maxLength={MOST_NAME}
                  autoComplete="off"
                  value={name}
                  onChange={(event) => setName(event.target.value)}
                />
              )}
            </Field>
            <fieldset className="client-permissions">
              <legend>{t("clients.may")}</legend>
              {may.map((permission) => (
                <Checkbox
                  key={permission}
                  checked={chosen.includes(permission)}
                  onChange={(event) => toggle(permission, event.target.checked)}
                >
                  {t(`permissions.${permission}` as "permissions.view-sessions")}
                </Checkbox>
              ))}
              {tried && chosen.length === 0 ? (
                <div className="field-error" role="alert">
                  {t("clients.mayMissing")}
                </div>
              ) : null}
            </fieldset>
            <Field label={t("clients.valid")}>
              {(props) => (
                <Choose
                  {...props}
                  value={days}
                  options={DAYS.map((value) => ({ value, label: t("clients.days", { count: value }) }))}
                  onChange={setDays}
                />
              )}
            </Field>
          </>
        )}
      </div>
    </Dialog>
  );
}

function Made({ made }: { made: MadeApiClient }) {
  const { t } = useTranslation();
  return (
    <div className="client-made" data-testid="client-made">
      <p className="form-about">{t("clients.once")}</p>
      <b>{t("clients.id")}</b>
      <Command text={made.client.id} />
      <b>{t("clients.secret")}</b>
      <Command text={made.secret} />
      <b>{t("clients.tokenUrl")}</b>
      <Command text={made.token_url} />
      <div className="state-actions">
        <Button onClick={() => save(made, "json")}>{t("clients.saveJson")}</Button>
        <Button onClick={() => save(made, "csv")}>{t("clients.saveCsv")}</Button>
      </div>
    </div>
  );
}
