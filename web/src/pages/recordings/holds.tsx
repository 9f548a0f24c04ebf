import { EyeInvisibleOutlined, SoundOutlined, VideoCameraOutlined } from "@ant-design/icons";
import { Tooltip } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Recording } from "../../api/types";
import { useMaskText } from "../../player/view/mask-text";

/** What a recording has besides exact pictures, as icons that tell more when asked. */
export function Holds({ recording }: { recording: Recording }): ReactNode {
  const { t } = useTranslation();
  const text = useMaskText();
  const masks = recording.masks ?? [];
  if (!recording.sound && !recording.video && masks.length === 0) return null;
  return (
    <span className="holds">
      {recording.sound ? (
        <Tooltip title={t("recordings.holds.sound")}>
          <SoundOutlined aria-label={t("recordings.holds.sound")} />
        </Tooltip>
      ) : null}
      {recording.video ? (
        <Tooltip title={t("recordings.holds.video")}>
          <VideoCameraOutlined aria-label={t("recordings.holds.video")} />
        </Tooltip>
      ) : null}
      {masks.length > 0 ? (
        <Tooltip title={masks.map(text).join(" ")}>
          <EyeInvisibleOutlined aria-label={t("recordings.holds.masks")} />
        </Tooltip>
      ) : null}
    </span>
  );
}

/** Says that a recording has no pictures, where it has none. */
export function EventsOnly({ recording }: { recording: Recording }): ReactNode {
  const { t } = useTranslation();
  if (!recording.session?.events_only) return null;
  return (
    <Tooltip title={t("recordings.eventsOnlyNote")}>
      <span className="badge" data-testid="events-only">
        {t("recordings.eventsOnly")}
      </span>
    </Tooltip>
  );
}
