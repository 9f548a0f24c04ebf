import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Button, Checkbox } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { Dialog } from "../../app/dialog";
import { useNotes } from "../../app/notes";
import { ProblemAlert } from "../../app/states";
import type { UserSession } from "./queries";
import { userSessionQuery } from "./queries";

/** Whether there is something to stop. */
export const isRecorded = (session: UserSession) =>
  session.recording.action !== "disable" && session.state !== "ended";

/** The button that starts or stops recording a session. */
export function StartStop({ session, onOpen }: { session: UserSession; onOpen: () => void }) {
  const { t } = useTranslation("sessions");
  if (session.state === "ended") return null;
  const stop = isRecorded(session);
  const names = { user: session.user, host: session.host };
  return (
    <Button
      size="small"
      danger={stop}
      disabled={!session.reachable}
      title={session.reachable ? undefined : t("agentAwayNote")}
      aria-label={t(stop ? "stopLabel" : "startLabel", names)}
      onClick={onOpen}
    >
      {t(stop ? "stop" : "start")}
    </Button>
  );
}

interface Props {
  session: UserSession;
  /** What was asked for when the dialog opened; the session may change under it. */
  what: "start" | "stop";
  onClose: () => void;
}

/** Asks before recording is started or stopped, and stays open with the reason when the host refuses. */
export function StartStopDialog({ session, what, onClose }: Props) {
  const { t } = useTranslation("sessions");
  const { t: common } = useTranslation();
  const notes = useNotes();
  const client = useQueryClient();
  const [notify, setNotify] = useState(false);
  const names = { user: session.user, host: session.host };
  const params = { path: { id: session.id } };
  const deed = useMutation({
    mutationFn: () =>
      what === "stop"
        ? answer(api.POST("/api/v1/sessions/{id}/stop-recording", { params, body: {} }))
        : answer(api.POST("/api/v1/sessions/{id}/start-recording", { params, body: { notify } })),
    onSuccess: async (changed) => {
      client.setQueryData(userSessionQuery(session.id).queryKey, changed);
      await client.invalidateQueries({ queryKey: ["user-sessions"] });
      void notes.success(t(what === "stop" ? "stopped" : "started", names));
      onClose();
    },
  });
  return (
    <Dialog
      title={t(what === "stop" ? "stopTitle" : "startTitle", names)}
      onClose={onClose}
      onSubmit={() => {
        if (!deed.isPending) deed.mutate();
      }}
      width={520}
      footer={
        <>
          <Button data-first={what === "stop" || undefined} onClick={onClose}>
            {common("common.cancel")}
          </Button>
          <Button type="primary" danger={what === "stop"} htmlType="submit" loading={deed.isPending}>
            {t(what)}
          </Button>
        </>
      }
    >
      <ProblemAlert error={deed.error} />
      <p>{t(what === "stop" ? "stopAbout" : "startAbout", names)}</p>
      {what === "start" ? (
        <Checkbox checked={notify} onChange={(event) => setNotify(event.target.checked)}>
          {t("notify")} <span className="quiet">{t("notifyAbout")}</span>
        </Checkbox>
      ) : null}
      {deed.isPending ? (
        <p className="quiet" role="status">
          {t("asking", names)}
        </p>
      ) : null}
    </Dialog>
  );
}
