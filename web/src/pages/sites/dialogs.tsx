import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Button, Input } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { asApiError } from "../../api/problem";
import { sitesQuery } from "../../api/queries";
import type { Server, Site } from "../../api/types";
import { Confirm } from "../../app/confirm";
import { Dialog } from "../../app/dialog";
import { Field } from "../../app/field";
import { useNotes } from "../../app/notes";
import { ProblemAlert } from "../../app/states";

/** What the console takes. */
const MOST_NAME = 100;
const MOST_DESCRIPTION = 1000;

/** Creates a site, or renames and describes the one given. */
export function EditSite({ site, onClose }: { site: Site | undefined; onClose: () => void }) {
  const { t } = useTranslation();
  const notes = useNotes();
  const client = useQueryClient();
  const [name, setName] = useState(site?.name ?? "");
  const [description, setDescription] = useState(site?.description ?? "");
  const [checked, setChecked] = useState(false);
  const write = useMutation({
    mutationFn: () => {
      const body = { name: name.trim(), description: description.trim() };
      return site
        ? answer(api.PATCH("/api/v1/sites/{id}", { params: { path: { id: site.id } }, body }))
        : answer(api.POST("/api/v1/sites", { body }));
    },
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: sitesQuery.queryKey });
      void notes.success(site ? t("sites.saved") : t("sites.created"));
      onClose();
    },
  });
  const submit = () => {
    setChecked(true);
    if (name.trim() && !write.isPending) write.mutate();
  };
  // That a name is taken belongs to the field with the name.
  const taken = write.error && asApiError(write.error).status === 409 ? write.error.message : undefined;
  return (
    <Dialog
      title={site ? t("sites.editTitle", { site: site.name }) : t("sites.create")}
      onClose={onClose}
      onSubmit={submit}
      firm={name !== (site?.name ?? "") || description !== (site?.description ?? "")}
      footer={
        <>
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="primary" htmlType="submit" loading={write.isPending}>
            {site ? t("sites.save") : t("sites.create")}
          </Button>
        </>
      }
    >
      <div className="form">
        <ProblemAlert error={taken ? undefined : write.error} />
        <Field
          label={t("sites.name")}
          hint={t("sites.nameHint")}
          error={checked && !name.trim() ? t("sites.nameMissing") : taken}
        >
          {(props) => (
            <Input
              {...props}
              maxLength={MOST_NAME}
              value={name}
              onChange={(event) => {
                setName(event.target.value);
                write.reset();
              }}
            />
          )}
        </Field>
        <Field label={t("sites.description")}>
          {(props) => (
            <Input.TextArea
              {...props}
              rows={3}
              maxLength={MOST_DESCRIPTION}
              value={description}
              onChange={(event) => setDescription(event.target.value)}
            />
          )}
        </Field>
      </div>
    </Dialog>
  );
}

export function RemoveSite({ site, onClose }: { site: Site; onClose: () => void }) {
  const { t } = useTranslation();
  const remove = useRemoval(t("sites.removed"), () =>
    answer(api.DELETE("/api/v1/sites/{id}", { params: { path: { id: site.id } } })),
  );
  return (
    <Confirm
      title={t("sites.removeTitle", { site: site.name })}
      action={t("sites.remove")}
      onConfirm={remove}
      onClose={onClose}
    >
      <p>{t("sites.removeAbout")}</p>
    </Confirm>
  );
}

export function RemoveServer({ server, onClose }: { server: Server; onClose: () => void }) {
  const { t } = useTranslation();
  const remove = useRemoval(t("sites.serverRemoved"), () =>
    answer(api.DELETE("/api/v1/servers/{id}", { params: { path: { id: server.id } } })),
  );
  return (
    <Confirm
      title={t("sites.removeServerTitle", { server: server.name })}
      action={t("sites.removeServer")}
      onConfirm={remove}
      onClose={onClose}
    >
      <p>{t("sites.removeServerAbout")}</p>
    </Confirm>
  );
}

/** Does it, says so, and has the sites asked for again. */
function useRemoval(done: string, remove: () => Promise<unknown>): () => Promise<void> {
  const notes = useNotes();
  const client = useQueryClient();
  return async () => {
    await remove();
    await client.invalidateQueries({ queryKey: sitesQuery.queryKey });
    void notes.success(done);
  };
}
