import { Modal } from "antd";
import { useTranslation } from "react-i18next";
import { HELP } from "./keys";

export function Help({ onClose, container }: { onClose: () => void; container: () => HTMLElement }) {
  const { t } = useTranslation();
  return (
    <Modal
      open
      title={t("player.helpTitle")}
      footer={null}
      onCancel={onClose}
      width={640}
      getContainer={container}
    >
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
    </Modal>
  );
}
