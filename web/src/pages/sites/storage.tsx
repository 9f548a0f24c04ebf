import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Button, Tooltip } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import "../../i18n/sites";
import { answer, api } from "../../api/client";
import { asApiError } from "../../api/problem";
import { storageQuery } from "../../api/queries";
import type { Site, Storage, StorageLocation } from "../../api/types";
import { ActionsHead } from "../../app/actions-head";
import { Confirm } from "../../app/confirm";
import { useNotes } from "../../app/notes";
import { When } from "../../app/when";
import { bytes, count } from "../../format/numbers";
import { sentence } from "../../format/sentence";

const LOOKS = {
  active: "badge badge-good",
  "read-only": "badge",
  full: "badge badge-warn",
  unreachable: "badge badge-bad",
} as const;

/** Where a site keeps its recordings, and what is being moved. */
export function StorageTable({ site, manages }: { site: Site; manages: boolean }) {
  const { t } = useTranslation();
  const storage = useQuery(storageQuery(site.id));
  if (!storage.data) {
    // The servers' table above says already when none is connected.
    return storage.isError ? (
      <p className="quiet site-storage-missing">
        {t("storage.missing", { why: sentence(asApiError(storage.error).message) })}
      </p>
    ) : null;
  }
  return (
    <div className="site-servers">
      <table className="table" aria-label={t("storage.title")} data-testid="storage">
        <thead>
          <tr>
            <th scope="col">{t("storage.title")}</th>
            <th scope="col">{t("sites.state")}</th>
            <th scope="col" className="number">
              {t("storage.segments")}
            </th>
            <th scope="col" className="number">
              {t("storage.bytes")}
            </th>
            <th scope="col" className="number">
              {t("storage.free")}
            </th>
            {manages ? <ActionsHead /> : null}
          </tr>
        </thead>
        <tbody>
          {storage.data.locations.map((location) => (
            <Row
              key={location.id}
              site={site}
              location={location}
              manages={manages}
              others={storage.data.locations.length > 1}
            />
          ))}
        </tbody>
      </table>
      <Tending tending={storage.data.tending} />
      <Moves moves={storage.data.moves} />
    </div>
  );
}

interface RowProps {
  site: Site;
  location: StorageLocation;
  manages: boolean;
  /** Whether there is anywhere else to move things to. */
  others: boolean;
}

function Row({ site, location, manages, others }: RowProps) {
  const { t } = useTranslation();
  const name = location.url || location.id;
  return (
    <tr data-id={location.id} data-state={location.state}>
      <td className="long" title={name}>
        <code>{name}</code>
        {location.last_error ? (
          <div className="storage-error">
            {sentence(location.last_error.text)} <When at={location.last_error.at} relative />
          </div>
        ) : null}
      </td>
      <td>
        <span className={LOOKS[location.state]}>{t(`storage.states.${location.state}`)}</span>
      </td>
      <td className="number">{count(location.segments)}</td>
      <td className="number">{bytes(location.bytes)}</td>
      <td className="number">
        {location.free_bytes === null ? t("common.none") : bytes(location.free_bytes)}
      </td>
      {manages ? (
        <td className="actions">
          <Actions site={site} location={location} others={others} name={name} />
        </td>
      ) : null}
    </tr>
  );
}

function Actions({ site, location, others, name }: Omit<RowProps, "manages"> & { name: string }) {
  const { t } = useTranslation();
  const notes = useNotes();
  const client = useQueryClient();
  const [draining, setDraining] = useState(false);
  const path = { id: site.id, location: location.id };
  const closed = location.state === "read-only";
  const again = () => client.invalidateQueries({ queryKey: storageQuery(site.id).queryKey });
  const change = useMutation({
    mutationFn: () =>
      answer(
        api.PATCH("/api/v1/sites/{id}/storage/{location}", {
          params: { path },
          body: { read_only: !closed },
        }),
      ),
    onSuccess: again,
    onError: (error) => void notes.error(sentence(asApiError(error).message)),
  });
  const drain = async () => {
    await answer(api.POST("/api/v1/sites/{id}/storage/{location}/drain", { params: { path }, body: {} }));
    await again();
    void notes.success(t("storage.drainBegun"));
  };
  // A location that the server does not know takes nothing new in any case.
  const known = location.url !== "";
  return (
    <span className="storage-actions">
      {known ? (
        <Tooltip placement="left" title={closed ? t("storage.openAbout") : t("storage.closeAbout")}>
          <Button size="small" loading={change.isPending} onClick={() => change.mutate()}>
            {closed ? t("storage.open") : t("storage.close")}
          </Button>
        </Tooltip>
      ) : null}
      {known && others ? (
        <Button size="small" disabled={location.segments === 0} onClick={() => setDraining(true)}>
          {t("storage.drain")}
        </Button>
      ) : null}
      {draining ? (
        <Confirm
          title={t("storage.drainTitle")}
          action={t("storage.drain")}
          onConfirm={drain}
          onClose={() => setDraining(false)}
        >
          <p>
            {t("storage.drainAbout", {
              segments: count(location.segments),
              count: location.segments,
              bytes: bytes(location.bytes),
            })}
          </p>
          <code className="storage-name">{name}</code>
        </Confirm>
      ) : null}
    </span>
  );
}

/** How stored files are looked after, and what is wrong with them. */
function Tending({ tending }: { tending: Storage["tending"] }) {
  const { t } = useTranslation();
  if (tending.segments === 0) return null;
  const packed =
    tending.saved_bytes > 0 || tending.repacked > 0
      ? t("storage.packed", {
          packed: count(tending.repacked),
          all: count(tending.segments),
          saved: bytes(tending.saved_bytes),
        })
      : tending.repacking === "off"
        ? t("storage.packedOff")
        : t("storage.packedNone");
  const left = tending.damaged_segments - tending.damaged.length;
  return (
    <ul className="storage-moves" aria-label={t("storage.tending")} data-testid="tending">
      <li className="quiet">{packed}</li>
      <li className="quiet">
        {tending.scrub_days === null
          ? t("storage.scrubOff")
          : t("storage.scrubbed", { days: count(Math.max(1, Math.round(tending.scrub_days))) })}
        {tending.scrub_days !== null && tending.oldest_scrub !== null ? (
          <>
            {" "}
            <When at={tending.oldest_scrub} relative />.
          </>
        ) : null}
      </li>
      {tending.damaged_segments > 0 ? (
        <li className="storage-error" role="alert">
          {t("storage.damaged", { count: tending.damaged_segments })}
          <ul>
            {tending.damaged.map((row) => (
              <li key={`${row.recording}/${row.segment}`}>
                {t("storage.damage", { segment: row.segment, recording: row.recording })}
                {": "}
                {sentence(row.damage)} <When at={row.at} relative />
              </li>
            ))}
            {left > 0 ? <li>{`+ ${count(left)}`}</li> : null}
          </ul>
        </li>
      ) : null}
    </ul>
  );
}

/** What is being moved, and what could not be. */
function Moves({ moves }: { moves: Storage["moves"] }) {
  const { t } = useTranslation();
  const shown = moves.filter((move) => move.state !== "done");
  if (shown.length === 0) return null;
  return (
    <ul className="storage-moves" aria-label={t("storage.moves")}>
      {shown.map((move) => (
        <li key={move.id} className={move.state === "failed" ? "storage-error" : "quiet"}>
          {t(`storage.move.${move.state as "running"}`, {
            defaultValue: move.state,
            segments: count(move.segments),
            bytes: bytes(move.bytes),
            failed: count(move.failed),
          })}
          {move.error ? ` ${sentence(move.error)}` : ""}
          {" · "}
          <When at={move.changed_at} relative />
        </li>
      ))}
    </ul>
  );
}
