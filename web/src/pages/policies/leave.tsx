import { useBlocker } from "@tanstack/react-router";
import { Button } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Dialog } from "../../app/dialog";

/** Asks before a page with unsaved changes is left; `dirty` is asked at that moment. */
export function Leaving({ dirty, children }: { dirty: () => boolean; children: ReactNode }) {
  const { t } = useTranslation("policies");
  const { t: common } = useTranslation();
  const blocker = useBlocker({
    shouldBlockFn: ({ current, next }) => dirty() && current.pathname !== next.pathname,
    enableBeforeUnload: dirty,
    withResolver: true,
  });
  if (blocker.status !== "blocked") return null;
  return (
    <Dialog
      title={t("leaveTitle")}
      width={480}
      onClose={() => blocker.reset()}
      onSubmit={() => blocker.proceed()}
      footer={
        <>
          <Button data-first onClick={() => blocker.reset()}>
            {common("common.cancel")}
          </Button>
          <Button type="primary" danger htmlType="submit">
            {t("leave")}
          </Button>
        </>
      }
    >
      {children}
    </Dialog>
  );
}
