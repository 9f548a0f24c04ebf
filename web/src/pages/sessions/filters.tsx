import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { Choose } from "../../app/choose";
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
      <Choose<State>
        label={t("state")}
        className="session-filter"
        value={search.state ?? "running"}
        options={STATES.map((state) => ({ value: state, label: t(`states.${state}`) }))}
        onChange={(state) => onChange({ state: state === "running" ? undefined : state })}
      />
      <Choose<"" | "true" | "false">
        label={t("recorded")}
        className="session-filter"
        value={search.recorded ?? ""}
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
