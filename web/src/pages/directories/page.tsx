import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useRouteContext } from "@tanstack/react-router";
import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { ApiError, asApiError } from "../../api/problem";
import { directoriesQuery } from "../../api/queries";
import type { Directory } from "../../api/types";
import { ActionsHead } from "../../app/actions-head";
import { Confirm } from "../../app/confirm";
import { useNotes } from "../../app/notes";
import { EmptyState, ErrorState, SkeletonRows, StaleNotice } from "../../app/states";
import { useTitle } from "../../app/title";
import { count } from "../../format/numbers";
import { sentence } from "../../format/sentence";
import "../../i18n/directories";
import "./directories.css";
import { EditDirectory } from "./edit";
import { DirectoryRoles } from "./roles";
import { TestDirectory } from "./test";

const FORBIDDEN = new ApiError(403, "", "", "forbidden", undefined, undefined);

type Open =
  | { what: "create"; kind: "ldap" | "openid" }
  | { what: "edit" | "roles" | "test" | "remove"; directory: Directory };

/** The directories that the console is connected to. */
export function DirectoriesPage() {
  const { t } = useTranslation(["translation", "directories"]);
  useTitle(t("directories:title"));
  const { me } = useRouteContext({ from: "/app" });
  const allowed = me.permissions.includes("manage-directories");
  const directories = useQuery({ ...directoriesQuery, enabled: allowed });
  const [open, setOpen] = useState<Open>();
  if (!allowed) return <ErrorState error={FORBIDDEN} />;
  const close = () => setOpen(undefined);
  const create = (
    <>
      <Button onClick={() => setOpen({ what: "create", kind: "openid" })}>
        {t("directories:createOpenid")}
      </Button>
      <Button type="primary" onClick={() => setOpen({ what: "create", kind: "ldap" })}>
        {t("directories:createLdap")}
      </Button>
    </>
  );
  const passing = directories.isError && directories.data && asApiError(directories.error).passing;
  return (
    <div className="page">
      <header className="page-head">
        <div>
          <h1>{t("directories:title")}</h1>
          <p className="quiet">{t("directories:about")}</p>
        </div>
        {create}
      </header>
      {passing ? <StaleNotice /> : null}
      {directories.isError && !passing ? (
        <ErrorState error={directories.error} onRetry={() => void directories.refetch()} />
      ) : !directories.data ? (
        <SkeletonRows rows={3} />
      ) : directories.data.items.length === 0 ? (
        <EmptyState title={t("directories:emptyTitle")}>
          <p>{t("directories:empty")}</p>
          <div className="state-actions">{create}</div>
        </EmptyState>
      ) : (
        <DirectoriesTable items={directories.data.items} onOpen={setOpen} />
      )}
      {open?.what === "create" ? (
        <EditDirectory kind={open.kind} directory={undefined} onClose={close} />
      ) : open?.what === "edit" ? (
        <EditDirectory kind={open.directory.kind} directory={open.directory} onClose={close} />
      ) : open?.what === "roles" ? (
        <DirectoryRoles directory={open.directory} onClose={close} />
      ) : open?.what === "test" ? (
        <TestDirectory directory={open.directory} onClose={close} />
      ) : open?.what === "remove" ? (
        <Remove directory={open.directory} onClose={close} />
      ) : null}
    </div>
  );
}

function DirectoriesTable({ items, onOpen }: { items: Directory[]; onOpen: (open: Open) => void }) {
  const { t } = useTranslation(["translation", "directories"]);
  return (
    <div className="table-frame">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t("directories:name")}</th>
            <th scope="col">{t("directories:kind")}</th>
            <th scope="col">{t("directories:where")}</th>
            <th scope="col">{t("directories:state")}</th>
            <th scope="col" className="number">
              {t("directories:roles")}
            </th>
            <th scope="col" className="number">
              {t("directories:accounts")}
            </th>
            <ActionsHead />
          </tr>
        </thead>
        <tbody>
          {items.map((directory) => (
            <tr key={directory.id} data-id={directory.id}>
              <td className="long">{directory.name}</td>
              <td>{t(`directories:kinds.${directory.kind}`)}</td>
              <td className="long" title={where(directory)}>
                {where(directory)}
              </td>
              <td>
                <State directory={directory} />
              </td>
              <td className="number">{count(directory.roles)}</td>
              <td className="number">{count(directory.accounts)}</td>
              <td className="actions">
                <span className="directory-actions">
                  {(["test", "roles", "edit", "remove"] as const).map((what) => (
                    <Button
                      key={what}
                      size="small"
                      aria-label={t(`directories:${what}Label`, { directory: directory.name })}
                      onClick={() => onOpen({ what, directory })}
                    >
                      {t(`directories:${what}`)}
                    </Button>
                  ))}
                </span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function where(directory: Directory): string {
  return directory.ldap?.servers.join(", ") ?? directory.openid?.issuer ?? "";
}

function State({ directory }: { directory: Directory }) {
  const { t } = useTranslation(["translation", "directories"]);
  const [name, look] = !directory.enabled
    ? (["off", "badge"] as const)
    : directory.problem
      ? (["failing", "badge badge-bad"] as const)
      : directory.ldap && !directory.ldap.sign_in
        ? (["lookUp", "badge badge-good"] as const)
        : directory.roles === 0
          ? (["nobody", "badge badge-warn"] as const)
          : (["on", "badge badge-good"] as const);
  return (
    <span
      className={look}
      title={directory.problem ? sentence(directory.problem) : t(`directories:about_${name}`)}
    >
      {t(`directories:is_${name}`)}
    </span>
  );
}

function Remove({ directory, onClose }: { directory: Directory; onClose: () => void }) {
  const { t } = useTranslation(["translation", "directories"]);
  const notes = useNotes();
  const client = useQueryClient();
  const remove = async () => {
    await answer(api.DELETE("/api/v1/directories/{id}", { params: { path: { id: directory.id } } }));
    await client.invalidateQueries({ queryKey: directoriesQuery.queryKey });
    void notes.success(t("directories:removed"));
  };
  return (
    <Confirm
      title={t("directories:removeTitle", { directory: directory.name })}
      action={t("directories:remove")}
      onConfirm={remove}
      onClose={onClose}
    >
      <p>{t("directories:removeAbout", { count: directory.accounts })}</p>
    </Confirm>
  );
}
