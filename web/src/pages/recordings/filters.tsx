import { useQuery } from "@tanstack/react-query";
import { Button, Input, Select } from "antd";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { sitesQuery } from "../../api/queries";
import type { Zone } from "../../format/time";
import { filtered, type ListSearch, PRESETS, type Preset, STATES, type State } from "./search";

// The calendar is large, and most people never open it.
const RangeField = lazy(() => import("./range-field").then((module) => ({ default: module.RangeField })));

interface Props {
  zone: Zone;
  search: ListSearch;
  maySeeSites: boolean;
  onChange: (change: Partial<ListSearch>) => void;
  onClear: () => void;
}

const PRESET_LABELS = {
  hour: "recordings.rangeHour",
  day: "recordings.rangeDay",
  week: "recordings.rangeWeek",
  month: "recordings.rangeMonth",
} as const satisfies Record<Preset, string>;

export function Filters({ zone, search, maySeeSites, onChange, onClear }: Props) {
  const { t } = useTranslation();
  const [custom, setCustom] = useState(false);
  const sites = useQuery({ ...sitesQuery, enabled: maySeeSites });
  const showRange = !search.range && (custom || Boolean(search.from || search.to));
  const several = (sites.data?.items.length ?? 0) > 1 || search.site !== undefined;

  return (
    <search className="filters" aria-label={t("recordings.filters")}>
      <Select<Preset | "all" | "custom">
        aria-label={t("recordings.range")}
        className="filter-range"
        value={search.range ?? (showRange ? "custom" : "all")}
        popupMatchSelectWidth={false}
        options={[
          { value: "all", label: t("recordings.rangeAll") },
          ...PRESETS.map((preset) => ({ value: preset, label: t(PRESET_LABELS[preset]) })),
          { value: "custom", label: t("recordings.rangeCustom") },
        ]}
        onChange={(value) => {
          setCustom(value === "custom");
          const range = value === "all" || value === "custom" ? undefined : value;
          onChange({ range, from: undefined, to: undefined });
        }}
      />
      {showRange ? (
        <Suspense fallback={null}>
          <RangeField
            zone={zone}
            from={search.from}
            to={search.to}
            onChange={(from, to) => onChange({ from, to })}
          />
        </Suspense>
      ) : null}
      <TextFilter label={t("recordings.user")} value={search.user} onChange={(user) => onChange({ user })} />
      <TextFilter label={t("recordings.host")} value={search.host} onChange={(host) => onChange({ host })} />
      <Select<State | "">
        aria-label={t("recordings.state")}
        className="filter-state"
        value={search.state ?? ""}
        popupMatchSelectWidth={false}
        options={[
          { value: "", label: t("recordings.anyState") },
          ...STATES.map((state) => ({ value: state, label: t(`recordings.states.${state}`) })),
        ]}
        onChange={(state) => onChange({ state: state || undefined })}
      />
      {several ? (
        <Select<string>
          aria-label={t("recordings.site")}
          className="filter-state"
          value={search.site ?? ""}
          popupMatchSelectWidth={false}
          options={[
            { value: "", label: t("recordings.anySite") },
            ...(sites.data?.items ?? []).map((site) => ({ value: site.id, label: site.name })),
          ]}
          onChange={(site) => onChange({ site: site || undefined })}
        />
      ) : null}
      {filtered(search) ? (
        <Button
          type="link"
          onClick={() => {
            setCustom(false);
            onClear();
          }}
        >
          {t("recordings.clear")}
        </Button>
      ) : null}
    </search>
  );
}

const TYPING_MS = 300;

/** A text that takes effect a moment after the last key, or at once with Enter. */
function TextFilter(props: { label: string; value: string | undefined; onChange: (value?: string) => void }) {
  const { label, value = "", onChange } = props;
  const [text, setText] = useState(value);
  const timer = useRef<number>(undefined);
  const sent = useRef(value);

  // The address changed from elsewhere: by the back button, or by clearing all filters.
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
      className="filter-text"
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
