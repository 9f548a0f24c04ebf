import { Segmented } from "antd";
import { useTranslation } from "react-i18next";
import { type Choice, setTheme, useThemeChoice } from "./theme";
import { setZone, useZone } from "./zone";

/** What each person sets for this browser: theme, and the zone of times. */
export function Preferences() {
  const { t } = useTranslation();
  const theme = useThemeChoice();
  const zone = useZone();
  return (
    <>
      <div>
        <div className="quiet" id="theme-label">
          {t("nav.theme")}
        </div>
        <Segmented<Choice>
          block
          aria-labelledby="theme-label"
          value={theme}
          onChange={setTheme}
          options={[
            { value: "system", label: t("nav.themeSystem") },
            { value: "light", label: t("nav.themeLight") },
            { value: "dark", label: t("nav.themeDark") },
          ]}
        />
      </div>
      <div>
        <div className="quiet" id="zone-label">
          {t("nav.zone")}
        </div>
        <Segmented<"own" | "UTC">
          block
          aria-labelledby="zone-label"
          value={zone ?? "own"}
          onChange={(value) => setZone(value === "UTC" ? "UTC" : undefined)}
          options={[
            {
              value: "own",
              label: t("nav.zoneOwn"),
              title: Intl.DateTimeFormat().resolvedOptions().timeZone,
            },
            { value: "UTC", label: "UTC" },
          ]}
        />
      </div>
    </>
  );
}
