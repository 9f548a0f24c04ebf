import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Button, Input, Radio } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import type { Recording } from "../../api/types";
import { Confirm } from "../../app/confirm";
import { Dialog } from "../../app/dialog";
import { Field } from "../../app/field";
import { useNotes } from "../../app/notes";
import { ProblemAlert } from "../../app/states";

/** What the server takes. */
const LEAST_PASSPHRASE = 12;

type For = "all" | "passphrase" | "recipients";

/** Asks who shall be able to open the file, then has the browser save it. */
export function Download({ recording, onClose }: { recording: Recording; onClose: () => void }) {
  const { t } = useTranslation();
  const notes = useNotes();
  const [whom, setWhom] = useState<For>("all");
  const [passphrase, setPassphrase] = useState("");
  const [again, setAgain] = useState("");
  const [recipients, setRecipients] = useState("");
  const [checked, setChecked] = useState(false);
  const list = recipients.split(/[\s,]+/).filter(Boolean);
  const short = whom === "passphrase" && [...passphrase].length < LEAST_PASSPHRASE;
  const different = whom === "passphrase" && passphrase !== again;
  const nobody = whom === "recipients" && list.length === 0;
  const prepare = useMutation({
    mutationFn: () =>
      answer(
        api.POST("/api/v1/recordings/{id}/download-links", {
          params: { path: { id: recording.id } },
          // The passphrase goes in the body, so that it stands in no address, history or log.
          body:
            whom === "passphrase"
              ? { passphrase, recipients: [] }
              : { passphrase: null, recipients: whom === "recipients" ? list : [] },
        }),
      ),
    onSuccess: (link) => {
      const anchor = document.createElement("a");
      anchor.href = link.url;
      anchor.download = "";
      anchor.click();
      void notes.success(t("recordings.downloadBegun"));
      onClose();
    },
  });
  const submit = () => {
    setChecked(true);
    if (!short && !different && !nobody && !prepare.isPending) prepare.mutate();
  };
  return (
    <Dialog
      title={t("recordings.downloadTitle")}
      onClose={onClose}
      onSubmit={submit}
      firm={passphrase !== "" || recipients !== ""}
      footer={
        <>
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="primary" htmlType="submit" loading={prepare.isPending}>
            {t("recordings.download")}
          </Button>
        </>
      }
    >
      <div className="form">
        <ProblemAlert error={prepare.error} />
        <p>{t("recordings.downloadAbout")}</p>
        <Radio.Group
          vertical
          value={whom}
          onChange={(event) => {
            setWhom(event.target.value as For);
            setChecked(false);
            prepare.reset();
          }}
          options={[
            { value: "all", label: t("recordings.downloadAll") },
            { value: "passphrase", label: t("recordings.downloadPassphrase") },
            { value: "recipients", label: t("recordings.downloadRecipients") },
          ]}
        />
        {whom === "passphrase" ? (
          <>
            <Field
              label={t("recordings.passphrase")}
              hint={t("recordings.passphraseHint")}
              error={checked && short ? t("recordings.passphraseShort") : undefined}
            >
              {(props) => (
                <Input.Password
                  {...props}
                  autoComplete="new-password"
                  value={passphrase}
                  onChange={(event) => setPassphrase(event.target.value)}
                />
              )}
            </Field>
            <Field
              label={t("recordings.passphraseAgain")}
              error={checked && different ? t("password.different") : undefined}
            >
              {(props) => (
                <Input.Password
                  {...props}
                  autoComplete="new-password"
                  value={again}
                  onChange={(event) => setAgain(event.target.value)}
                />
              )}
            </Field>
          </>
        ) : null}
        {whom === "recipients" ? (
          <Field
            label={t("recordings.recipients")}
            hint={t("recordings.recipientsHint")}
            error={checked && nobody ? t("recordings.recipientsMissing") : undefined}
          >
            {(props) => (
              <Input.TextArea
                {...props}
                rows={3}
                spellCheck={false}
                value={recipients}
                onChange={(event) => {
                  setRecipients(event.target.value);
                  prepare.reset();
                }}
              />
            )}
          </Field>
        ) : null}
      </div>
    </Dialog>
  );
}

interface ShredProps {
  recording: Recording;
  names: { user: string; host: string; time: string };
  onClose: () => void;
}

/** Asks why, then makes a recording unreadable for ever. */
export function Shred({ recording, names, onClose }: ShredProps) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [why, setWhy] = useState("");
  return (
    <Confirm
      title={t("recordings.shredTitle")}
      action={t("recordings.shred")}
      onClose={onClose}
      onConfirm={async () => {
        await answer(
          api.POST("/api/v1/recordings/{id}/shred", {
            params: { path: { id: recording.id } },
            body: { why: why.trim() },
          }),
        );
        await client.invalidateQueries({ queryKey: ["recordings"] });
      }}
    >
      <div className="form">
        <p>{t("recordings.shredAbout", names)}</p>
        <Field label={t("recordings.shredWhy")} hint={t("recordings.shredWhyHint")}>
          {(props) => (
            <Input {...props} maxLength={1000} value={why} onChange={(event) => setWhy(event.target.value)} />
          )}
        </Field>
      </div>
    </Confirm>
  );
}
