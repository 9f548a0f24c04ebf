import { useTranslation } from "react-i18next";
import { Dialog } from "../../app/dialog";
import { HELP } from "./keys";

export function Help({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Dialog title={t("player.helpTitle")} onClose={onClose} width={640}>
      <p className="quiet">{t("player.helpNote")}</p>
      <dl className="help">
        {HELP.map(([keys, action]) => (
          <div key={action}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{t(`player.keys.${action}`)}</dd>
          </div>
        ))}
      </dl>
      <p className="quiet">{t("player.helpPointer")}</p>
    </Dialog>
  );
}
