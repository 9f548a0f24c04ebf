import { useQuery } from "@tanstack/react-query";
import { Button, Input, Select } from "antd";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { sitesQuery } from "../../api/queries";
import { filtered, type SessionSearch, STATES, type State } from "./search";

interface Props {
  search: SessionSearch;
  maySeeSites: boolean;
  onChange: (change: Partial<SessionSearch>) => void;
  onClear: () => void;
}

export function SessionFilters({ search, maySeeSites, onChange, onClear }: Props) {
  const { t } = useTranslation("sessions");
  const sites = useQuery({ ...sitesQuery, enabled: maySeeSites });
  const several = (sites.data?.items.length ?? 0) > 1 || search.site !== undefined;
  return (
    <search className="session-filters" aria-label={t("filters")}>
      <Text label={t("user")} value={search.user} onChange={(user) => onChange({ user })} />
      <Text label={t("host")} value={search.host} onChange={(host) => onChange({ host })} />
      <Select<State>
        aria-label={t("state")}
        className="session-filter"
        value={search.state ?? "running"}
        popupMatchSelectWidth={false}
        options={STATES.map((state) => ({ value: state, label: t(`states.${state}`) }))}
        onChange={(state) => onChange({ state: state === "running" ? undefined : state })}
      />
      <Select<"" | "true" | "false">
        aria-label={t("recorded")}
        className="session-filter"
        value={search.recorded ?? ""}
        popupMatchSelectWidth={false}
        options={[
          { value: "", label: t("recordedAny") },
          { value: "true", label: t("recordedYes") },
          { value: "false", label: t("recordedNo") },
        ]}
        onChange={(recorded) => onChange({ recorded: recorded || undefined })}
      />
      {several ? (
        <Select<string>
          aria-label={t("site")}
          className="session-filter"
          value={search.site ?? ""}
          popupMatchSelectWidth={false}
          options={[
            { value: "", label: t("anySite") },
            ...(sites.data?.items ?? []).map((site) => ({ value: site.id, label: site.name })),
          ]}
          onChange={(site) => onChange({ site: site || undefined })}
        />
      ) : null}
      {filtered(search) ? (
        <Button type="link" onClick={onClear}>
          {t("clear")}
        </Button>
      ) : null}
    </search>
  );
}

const TYPING_MS = 300;

/** A text that takes effect a moment after the last key, or at once with Enter. */
function Text({
  label,
  value = "",
  onChange,
}: {
  label: string;
  value?: string;
  onChange: (value?: string) => void;
}) {
  const [text, setText] = useState(value);
  const sent = useRef(value);
  const timer = useRef<number>(undefined);
  // The address changed from elsewhere, as by the back button.
  useEffect(() => {
    if (value === sent.current) return;
    sent.current = value;
    clearTimeout(timer.current);
    setText(value);
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const send = (next: string) => {
    clearTimeout(timer.current);
    sent.current = next.trim();
    onChange(next.trim() || undefined);
  };
  return (
    <Input
      className="session-filter"
      allowClear
      aria-label={label}
      placeholder={label}
      value={text}
      maxLength={200}
      onChange={(event) => {
        const next = event.target.value;
        setText(next);
        clearTimeout(timer.current);
        timer.current = window.setTimeout(() => send(next), next === "" ? 0 : TYPING_MS);
      }}
      onPressEnter={() => send(text)}
    />
  );
}
