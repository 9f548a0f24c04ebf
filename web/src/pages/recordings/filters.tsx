import { Button } from "antd";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { Choose } from "../../app/choose";
import { SiteFilter, TextFilter } from "../../app/filters";
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
  const showRange = !search.range && (custom || Boolean(search.from || search.to));

  return (
    <search className="filters" aria-label={t("recordings.filters")}>
      <Choose<Preset | "all" | "custom">
        label={t("recordings.range")}
        className="filter-range"
        value={search.range ?? (showRange ? "custom" : "all")}
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
      <TextFilter
        className="filter-text"
        label={t("recordings.user")}
        value={search.user}
        onChange={(user) => onChange({ user })}
      />
      <TextFilter
        className="filter-text"
        label={t("recordings.host")}
        value={search.host}
        onChange={(host) => onChange({ host })}
      />
      <Choose<State | "">
        label={t("recordings.state")}
        className="filter-state"
        value={search.state ?? ""}
        options={[
          { value: "", label: t("recordings.anyState") },
          ...STATES.map((state) => ({ value: state, label: t(`recordings.states.${state}`) })),
        ]}
        onChange={(state) => onChange({ state: state || undefined })}
      />
      <SiteFilter
        label={t("recordings.site")}
        any={t("recordings.anySite")}
        className="filter-state"
        value={search.site}
        maySeeSites={maySeeSites}
        onChange={(site) => onChange({ site })}
      />
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
