import { Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import "../../i18n/sessions";
import { sentence } from "../../format/sentence";
import type { UserSession } from "./queries";

/** Whether a session is being recorded. */
export function RecordingBadge({ session }: { session: UserSession }) {
  const { t } = useTranslation("sessions");
  const { action, recording, trouble } = session.recording;
  if (session.state === "ended") return <span className="badge">{t("states.ended")}</span>;
  if (trouble) {
    return (
      <Tooltip title={sentence(trouble)}>
        <span className="badge badge-bad">{t("trouble")}</span>
      </Tooltip>
    );
  }
  if (action === "disable") return <span className="badge">{t("does.disable")}</span>;
  if (!recording) return <span className="badge badge-warn">{t("waiting")}</span>;
  return <span className="badge badge-live">{t(`does.${action}`)}</span>;
}

/** The system's policy by which nothing is recorded: the only one that does so without a rule that does not fit. */
const NOTHING = "Do not record";

/** Who or what decided whether it is recorded. */
export function useWhy(): (session: UserSession) => string {
  const { t } = useTranslation("sessions");
  return ({ recording: { decided, action } }) => {
    const policy = decided.policy ?? "";
    switch (decided.by) {
      case "policy":
        if (decided.rule) return t("decided.rule", { policy, rule: decided.rule });
        return action === "disable" && policy !== NOTHING
          ? t("decided.none", { policy })
          : t("decided.system", { policy });
      case "request":
        return t("decided.request", { user: decided.user ?? "" });
      default:
        return t(`decided.${decided.by as "settings"}`, { defaultValue: decided.by });
    }
  };
}
