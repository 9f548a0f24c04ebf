import { Button, Checkbox, Segmented } from "antd";
import { useTranslation } from "react-i18next";
import { COLUMNS, type Column, DEFAULT_COLUMNS } from "./columns";

interface SettingsProps {
  columns: readonly Column[];
  onColumns: (columns: readonly Column[]) => void;
  compact: boolean;
  onCompact: (compact: boolean) => void;
}

export function TableSettings({ columns, onColumns, compact, onCompact }: SettingsProps) {
  const { t } = useTranslation();
  return (
    <div className="table-settings">
      <div>
        <div className="quiet">{t("recordings.density")}</div>
        <Segmented
          block
          aria-label={t("recordings.density")}
          value={compact ? "compact" : "comfortable"}
          onChange={(value) => onCompact(value === "compact")}
          options={[
            { value: "comfortable", label: t("recordings.comfortable") },
            { value: "compact", label: t("recordings.compact") },
          ]}
        />
      </div>
      <fieldset>
        <legend className="quiet">{t("recordings.columns")}</legend>
        {COLUMNS.map((column) => (
          <Checkbox
            key={column}
            checked={columns.includes(column)}
            disabled={column === "started"}
            onChange={(event) =>
              onColumns(
                COLUMNS.filter((other) =>
                  other === column ? event.target.checked : columns.includes(other),
                ),
              )
            }
          >
            {t(`recordings.column.${column}`)}
          </Checkbox>
        ))}
      </fieldset>
      <Button size="small" onClick={() => onColumns(DEFAULT_COLUMNS)}>
        {t("recordings.columnsReset")}
      </Button>
    </div>
  );
}
