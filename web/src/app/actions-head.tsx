import { useTranslation } from "react-i18next";

/** The head of a table's column of buttons: named for those who hear the page, unseen by others. */
export function ActionsHead() {
  const { t } = useTranslation();
  return (
    <th scope="col" className="actions">
      <span className="visually-hidden">{t("common.actions")}</span>
    </th>
  );
}
