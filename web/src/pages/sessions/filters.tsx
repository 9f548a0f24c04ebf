import { Button, Select } from "antd";
import { useTranslation } from "react-i18next";
import { SiteFilter, TextFilter } from "../../app/filters";
import { filtered, type SessionSearch, STATES, type State } from "./search";

interface Props {
  search: SessionSearch;
  maySeeSites: boolean;
  onChange: (change: Partial<SessionSearch>) => void;
  onClear: () => void;
}

export function SessionFilters({ search, maySeeSites, onChange, onClear }: Props) {
  const { t } = useTranslation("sessions");
  return (
    <search className="session-filters" aria-label={t("filters")}>
      <TextFilter
        className="session-filter"
        label={t("user")}
        value={search.user}
        onChange={(user) => onChange({ user })}
      />
      <TextFilter
        className="session-filter"
        label={t("host")}
        value={search.host}
        onChange={(host) => onChange({ host })}
      />
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
      <SiteFilter
        label={t("site")}
        any={t("anySite")}
        className="session-filter"
        value={search.site}
        maySeeSites={maySeeSites}
        onChange={(site) => onChange({ site })}
      />
      {filtered(search) ? (
        <Button type="link" onClick={onClear}>
          {t("clear")}
        </Button>
      ) : null}
    </search>
  );
}
