import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Input } from "antd";
import { type KeyboardEvent, useDeferredValue, useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../api/client";
import type { Me } from "../api/types";
import { userName } from "../format/numbers";
import { dateTime } from "../format/time";
import { Dialog } from "./dialog";
import { useZone } from "./zone";

interface Entry {
  key: string;
  label: string;
  note?: string;
  open: () => void;
}

/** Goes to any page, or to one of the latest recordings, by typing. */
export function Palette({ me, onClose }: { me: Me; onClose: () => void }) {
  const { t } = useTranslation();
  const id = useId();
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const pages = usePages(me);
  const recordings = useRecent(me, useDeferredValue(text.trim()));
  const wanted = text.trim().toLowerCase();
  const found = [...pages.filter((page) => page.label.toLowerCase().includes(wanted)), ...recordings];
  const current = Math.min(chosen, found.length - 1);

  const open = (entry: Entry | undefined) => {
    if (!entry) return;
    onClose();
    entry.open();
  };
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0 && found.length > 0) {
      event.preventDefault();
      setChosen((current + step + found.length) % found.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      open(found[current]);
    }
  };

  return (
    <Dialog title={t("palette.title")} onClose={onClose}>
      <Input
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setChosen(0);
        }}
        onKeyDown={onKey}
        placeholder={t("palette.placeholder")}
        role="combobox"
        aria-expanded
        aria-controls={id}
        aria-activedescendant={found[current] ? `${id}-${found[current].key}` : undefined}
        aria-label={t("palette.title")}
      />
      <div id={id} role="listbox" aria-label={t("palette.title")} className="palette-list">
        {found.map((entry, at) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are handled by the field above, as for any combobox
          <div
            key={entry.key}
            id={`${id}-${entry.key}`}
            role="option"
            tabIndex={-1}
            aria-selected={at === current}
            className="palette-entry"
            onMouseMove={() => setChosen(at)}
            onClick={() => open(entry)}
          >
            <span>{entry.label}</span>
            {entry.note ? <span className="quiet">{entry.note}</span> : null}
          </div>
        ))}
        {found.length === 0 ? <p className="quiet">{t("palette.nothing")}</p> : null}
      </div>
      <p className="quiet palette-hint">{t("palette.hint")}</p>
    </Dialog>
  );
}

function usePages(me: Me): Entry[] {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const pages: Entry[] = [];
  if (me.permissions.includes("list-recordings")) {
    pages.push({
      key: "recordings",
      label: t("nav.recordings"),
      open: () => void navigate({ to: "/recordings", search: {} }),
    });
  }
  if (me.permissions.includes("view-sessions")) {
    pages.push({
      key: "user-sessions",
      label: t("nav.sessions"),
      open: () => void navigate({ to: "/sessions", search: {} }),
    });
  }
  if (me.permissions.includes("view-policies")) {
    for (const [key, to] of [
      ["policies", "/policies"],
      ["simulator", "/policies/simulator"],
      ["notices", "/policies/notices"],
      ["policyHistory", "/policies/history"],
    ] as const) {
      pages.push({ key, label: t(`nav.${key}`), open: () => void navigate({ to, search: {} }) });
    }
  }
  if (me.permissions.includes("view-sites")) {
    pages.push(
      { key: "sites", label: t("nav.sites"), open: () => void navigate({ to: "/sites" }) },
      {
        key: "hosts",
        label: t("nav.hosts"),
        open: () => void navigate({ to: "/session-hosts", search: {} }),
      },
    );
  }
  if (me.permissions.includes("manage-sites")) {
    pages.push({ key: "tokens", label: t("nav.tokens"), open: () => void navigate({ to: "/join-tokens" }) });
  }
  if (me.permissions.includes("manage-api-clients")) {
    pages.push({
      key: "clients",
      label: t("nav.clients"),
      open: () => void navigate({ to: "/clients" }),
    });
  }
  if (me.permissions.includes("manage-directories")) {
    pages.push({
      key: "directories",
      label: t("nav.directories"),
      open: () => void navigate({ to: "/directories" }),
    });
  }
  pages.push({ key: "account", label: t("nav.account"), open: () => void navigate({ to: "/account" }) });
  if (me.local) {
    pages.push({
      key: "password",
      label: t("nav.password"),
      open: () => void navigate({ to: "/password", search: { to: "/account" } }),
    });
  }
  return pages;
}

const MOST_RECENT = 8;

/** The latest recordings whose user or host contains the text. */
function useRecent(me: Me, text: string): Entry[] {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const zone = useZone();
  const found = useQuery({
    queryKey: ["palette", text],
    enabled: me.permissions.includes("list-recordings"),
    staleTime: 5000,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const ask = (query: { user?: string; host?: string }) =>
        answer(
          api.GET("/api/v1/recordings", { params: { query: { ...query, limit: MOST_RECENT } }, signal }),
        ).then((page) => page.items);
      const lists = text ? await Promise.all([ask({ user: text }), ask({ host: text })]) : [await ask({})];
      const byId = new Map(lists.flat().map((recording) => [recording.id, recording]));
      return [...byId.values()]
        .sort((a, b) => b.started_at.localeCompare(a.started_at))
        .slice(0, MOST_RECENT);
    },
  });
  return (found.data ?? []).map((recording) => ({
    key: recording.id,
    label: t("palette.recording", {
      user: userName(recording.user).name || t("recordings.nobody"),
      host: recording.host,
    }),
    note:
      recording.state === "live"
        ? t("recordings.states.live")
        : dateTime(new Date(recording.started_at), zone),
    open: () => void navigate({ to: "/recordings/$id", params: { id: recording.id }, search: {} }),
  }));
}
