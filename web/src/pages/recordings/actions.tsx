import { DeleteOutlined, DownloadOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Me, Recording } from "../../api/types";
import { useZone } from "../../app/zone";
import { dateTime } from "../../format/time";

const Download = lazy(() => import("./dialogs").then((module) => ({ default: module.Download })));
const Shred = lazy(() => import("./dialogs").then((module) => ({ default: module.Shred })));

/** What may be done with recordings, besides playing them. */
export function mayAct(me: Me): boolean {
  return me.permissions.some((one) => one === "download-recordings" || one === "shred-recordings");
}

export function Actions({ recording, me }: { recording: Recording; me: Me }) {
  const { t } = useTranslation();
  const zone = useZone();
  const [open, setOpen] = useState<"download" | "shred">();
  const ended = recording.state !== "live" && !recording.shredded;
  const names = {
    user: recording.user || t("recordings.nobody"),
    host: recording.host,
    time: dateTime(new Date(recording.started_at), zone),
  };
  const close = () => setOpen(undefined);
  return (
    <>
      {me.permissions.includes("download-recordings") && ended ? (
        <Button
          size="small"
          type="text"
          icon={<DownloadOutlined />}
          title={t("recordings.download")}
          aria-label={t("recordings.downloadOf", names)}
          onClick={() => setOpen("download")}
        />
      ) : null}
      {me.permissions.includes("shred-recordings") && ended && recording.encrypted ? (
        <Button
          size="small"
          type="text"
          icon={<DeleteOutlined />}
          title={t("recordings.shred")}
          aria-label={t("recordings.shredOf", names)}
          onClick={() => setOpen("shred")}
        />
      ) : null}
      <Suspense>
        {open === "download" ? <Download recording={recording} onClose={close} /> : null}
        {open === "shred" ? <Shred recording={recording} names={names} onClose={close} /> : null}
      </Suspense>
    </>
  );
}
