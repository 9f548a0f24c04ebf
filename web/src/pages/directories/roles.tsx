import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Button, Input } from "antd";
import { type KeyboardEvent, useDeferredValue, useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { directoriesQuery, directoryRolesQuery } from "../../api/queries";
import type { Directory, DirectoryRole, Principal } from "../../api/types";
import { ActionsHead } from "../../app/actions-head";
import { Choose } from "../../app/choose";
import { Dialog } from "../../app/dialog";
import { Field } from "../../app/field";
import { useNotes } from "../../app/notes";
import { ErrorState, ProblemAlert, SkeletonRows } from "../../app/states";
import { When } from "../../app/when";
import { sentence } from "../../format/sentence";

const ROLES = ["full", "privileged-player", "read-only"] as const;
type Kind = "user" | "group";
type Chosen = Pick<Principal, "subject" | "label">;

/** Who of a directory holds which role at the console. */
export function DirectoryRoles({ directory, onClose }: { directory: Directory; onClose: () => void }) {
  const { t } = useTranslation(["translation", "directories"]);
  const roles = useQuery(directoryRolesQuery(directory.id));
  return (
    <Dialog
      title={t("directories:rolesTitle", { directory: directory.name })}
      onClose={onClose}
      width={760}
      footer={<Button onClick={onClose}>{t("common.close")}</Button>}
    >
      <p className="quiet">{t("directories:rolesAbout")}</p>
      {roles.isError ? (
        <ErrorState error={roles.error} onRetry={() => void roles.refetch()} />
      ) : !roles.data ? (
        <SkeletonRows rows={2} />
      ) : roles.data.items.length === 0 ? (
        <p data-testid="no-roles">{t("directories:noRoles")}</p>
      ) : (
        <RolesTable directory={directory} items={roles.data.items} />
      )}
      <Give directory={directory} />
    </Dialog>
  );
}

/** Asks again for what a change of roles changes. */
function useRenew(directory: Directory): () => Promise<void> {
  const client = useQueryClient();
  return async () => {
    await client.invalidateQueries({ queryKey: directoryRolesQuery(directory.id).queryKey });
    await client.invalidateQueries({ queryKey: directoriesQuery.queryKey });
  };
}

function RolesTable({ directory, items }: { directory: Directory; items: DirectoryRole[] }) {
  const { t } = useTranslation(["translation", "directories"]);
  const notes = useNotes();
  const renew = useRenew(directory);
  const take = useMutation({
    mutationFn: (role: DirectoryRole) =>
      answer(api.DELETE("/api/v1/directory-roles/{id}", { params: { path: { id: role.id } } })),
    onSuccess: () => void notes.success(t("directories:taken")),
    onSettled: renew,
  });
  return (
    <div className="table-frame directory-roles">
      <ProblemAlert error={take.error} />
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t("directories:who")}</th>
            <th scope="col">{t("directories:role")}</th>
            <th scope="col">{t("directories:givenBy")}</th>
            <th scope="col">{t("directories:givenAt")}</th>
            <ActionsHead />
          </tr>
        </thead>
        <tbody>
          {items.map((role) => (
            <tr key={role.id} data-id={role.id}>
              <td className="long directory-who" title={role.subject}>
                {role.label} <span className="quiet">{t(`directories:${role.kind as Kind}`)}</span>
              </td>
              <td>{t(`roles.${role.role as "full"}`, role.role)}</td>
              <td className="long">{role.made_by}</td>
              <td>
                <When at={role.created_at} />
              </td>
              <td className="actions">
                <Button
                  size="small"
                  loading={take.isPending && take.variables?.id === role.id}
                  aria-label={t("directories:takeLabel", { name: role.label })}
                  onClick={() => take.mutate(role)}
                >
                  {t("directories:take")}
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Give({ directory }: { directory: Directory }) {
  const { t } = useTranslation(["translation", "directories"]);
  const notes = useNotes();
  const renew = useRenew(directory);
  const [kind, setKind] = useState<Kind>("group");
  const [role, setRole] = useState<(typeof ROLES)[number]>("read-only");
  const [chosen, setChosen] = useState<Chosen>();
  const [text, setText] = useState("");
  const typed = text.trim();
  // A provider cannot be searched: what is typed is what it calls the group or user.
  const who = directory.kind === "openid" ? (typed ? { subject: typed, label: typed } : undefined) : chosen;
  const give = useMutation({
    mutationFn: (given: Chosen) =>
      answer(
        api.POST("/api/v1/directories/{id}/roles", {
          params: { path: { id: directory.id } },
          body: { kind, role, subject: given.subject, label: given.label },
        }),
      ),
    onSuccess: async () => {
      setChosen(undefined);
      setText("");
      void notes.success(t("directories:given"));
      await renew();
    },
  });
  return (
    <section className="directory-give" aria-label={t("directories:give")}>
      <ProblemAlert error={give.error} />
      <div className="directory-give-row">
        <Field label={t("directories:kind")}>
          {(props) => (
            <Choose<Kind>
              {...props}
              value={kind}
              options={(["group", "user"] as const).map((value) => ({
                value,
                label: t(`directories:${value}`),
              }))}
              onChange={(next) => {
                setKind(next);
                setChosen(undefined);
              }}
            />
          )}
        </Field>
        {directory.kind === "ldap" ? (
          <Picker
            directory={directory}
            kind={kind}
            text={text}
            onText={(value) => {
              setText(value);
              setChosen(undefined);
            }}
            onPick={(principal) => {
              setChosen(principal);
              setText(principal.label);
            }}
          />
        ) : (
          <Field label={t(`directories:claim_${kind}`)} hint={t(`directories:claimHint_${kind}`)}>
            {(props) => <Input {...props} value={text} onChange={(event) => setText(event.target.value)} />}
          </Field>
        )}
        <Field label={t("directories:role")}>
          {(props) => (
            <Choose
              {...props}
              value={role}
              options={ROLES.map((value) => ({ value, label: t(`roles.${value}`) }))}
              onChange={setRole}
            />
          )}
        </Field>
        <Button
          type="primary"
          disabled={!who}
          loading={give.isPending}
          onClick={() => {
            if (who) give.mutate(who);
          }}
        >
          {t("directories:give")}
        </Button>
      </div>
    </section>
  );
}

interface PickerProps {
  directory: Directory;
  kind: Kind;
  text: string;
  onText: (text: string) => void;
  onPick: (principal: Principal) => void;
}

/** Finds users or groups of one directory by typing. */
function Picker({ directory, kind, text, onText, onPick }: PickerProps) {
  const { t } = useTranslation(["translation", "directories"]);
  const id = useId();
  const [at, setAt] = useState(0);
  const [open, setOpen] = useState(false);
  const q = useDeferredValue(text.trim());
  const found = useQuery({
    queryKey: ["directory-search", kind, q],
    enabled: open && q.length > 0,
    staleTime: 10_000,
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/directories/search", { params: { query: { q, kind, limit: 20 } }, signal })),
  });
  const items = (found.data?.items ?? []).filter((item) => item.directory.id === directory.id);
  const problem = found.data?.problems.find((entry) => entry.directory.id === directory.id);
  const shown = open && q.length > 0;
  const current = Math.min(at, items.length - 1);
  const pick = (item: Principal | undefined) => {
    if (!item) return;
    setOpen(false);
    onPick(item);
  };
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0 && items.length > 0) {
      event.preventDefault();
      setAt((current + step + items.length) % items.length);
    } else if (event.key === "Enter" && shown) {
      event.preventDefault();
      pick(items[current]);
    } else if (event.key === "Escape" && shown) {
      // Closes the list, not the dialog.
      event.preventDefault();
      event.stopPropagation();
      setOpen(false);
    }
  };
  return (
    <div className="directory-picker">
      <Field label={t(`directories:${kind}`)} hint={t("directories:pickerHint")}>
        {(props) => (
          <Input
            {...props}
            autoComplete="off"
            role="combobox"
            aria-expanded={shown}
            aria-controls={`${id}-list`}
            aria-activedescendant={shown && items[current] ? `${id}-${current}` : undefined}
            value={text}
            onChange={(event) => {
              setOpen(true);
              setAt(0);
              onText(event.target.value);
            }}
            onKeyDown={onKey}
            onBlur={() => setOpen(false)}
          />
        )}
      </Field>
      {problem ? (
        <Alert type="warning" showIcon title={t("directories:away")} description={sentence(problem.detail)} />
      ) : null}
      {shown ? (
        <div
          id={`${id}-list`}
          role="listbox"
          aria-label={t(`directories:${kind}`)}
          className="directory-found"
        >
          {items.map((item, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are handled by the field above, as for any combobox
            <div
              key={item.subject}
              id={`${id}-${index}`}
              role="option"
              tabIndex={-1}
              aria-selected={index === current}
              className="palette-entry"
              // Before the field loses the focus, and the list with it.
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => pick(item)}
            >
              <span>{item.label}</span>
              <span className="quiet">
                {item.seen_at ? (
                  <>
                    {t("directories:seen")} <When at={item.seen_at} relative />
                  </>
                ) : (
                  (item.detail ?? item.name)
                )}
              </span>
            </div>
          ))}
          {items.length === 0 && !found.isFetching ? (
            <p className="quiet">{t("directories:nothing")}</p>
          ) : null}
          {found.data?.more ? <p className="quiet">{t("directories:typeMore")}</p> : null}
        </div>
      ) : null}
    </div>
  );
}
