import { useTranslation } from "react-i18next";
import { Dialog } from "./dialog";

const KEYS = [
  [["/"], "filter"],
  [["J", "↓"], "down"],
  [["K", "↑"], "up"],
  [["Enter"], "open"],
  [["Ctrl K"], "palette"],
  [["Esc"], "close"],
  [["?"], "help"],
] as const;

/** The keys of all pages but the player's, which has its own. */
export function Help({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Dialog title={t("help.title")} onClose={onClose} width={480}>
      <dl className="help help-single">
        {KEYS.map(([keys, action]) => (
          <div key={action}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{t(`help.${action}`)}</dd>
          </div>
        ))}
      </dl>
      <p className="quiet">{t("help.player")}</p>
    </Dialog>
  );
}
