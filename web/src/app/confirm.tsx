import { useMutation } from "@tanstack/react-query";
import { Button } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Dialog } from "./dialog";
import { ProblemAlert } from "./states";

interface Props {
  title: string;
  /** What will be lost, and what will not. */
  children: ReactNode;
  /** What the button says: the deed itself. */
  action: string;
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
}

/** Asks before something that cannot be undone, and stays open with the reason when it is refused. */
export function Confirm({ title, children, action, onConfirm, onClose }: Props) {
  const { t } = useTranslation();
  const deed = useMutation({ mutationFn: onConfirm, onSuccess: onClose });
  return (
    <Dialog
      title={title}
      onClose={onClose}
      onSubmit={() => deed.mutate()}
      width={480}
      footer={
        <>
          <Button data-first onClick={onClose}>
            {t("common.cancel")}
          </Button>
          <Button type="primary" danger htmlType="submit" loading={deed.isPending}>
            {action}
          </Button>
        </>
      }
    >
      <ProblemAlert error={deed.error} />
      {children}
    </Dialog>
  );
}
