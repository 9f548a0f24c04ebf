import { useQuery } from "@tanstack/react-query";
import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { Dialog } from "../../app/dialog";
import { ProblemAlert, SkeletonRows } from "../../app/states";
import { Diff } from "./diff";
import { localDiff } from "./local-diff";
import { diffQuery } from "./queries";
import type { Policy, PolicyDetail } from "./types";

interface Props {
  site: string;
  /** What was read before it was edited. */
  base: PolicyDetail;
  /** What somebody else has made of it. */
  theirs: PolicyDetail;
  mine: Policy;
  busy: boolean;
  error: unknown;
  onTake: () => void;
  onKeep: () => void;
  onClose: () => void;
}

/** Somebody else saved the policy meanwhile: says what they changed, and lets one choose. */
export function Conflict({ site, base, theirs, mine, busy, error, onTake, onKeep, onClose }: Props) {
  const { t } = useTranslation("policies");
  const diff = useQuery(diffQuery(site, base.id, base.version ?? 1, theirs.version ?? 1));
  return (
    <Dialog
      title={t("conflict.title")}
      onClose={onClose}
      width={760}
      firm
      footer={
        <>
          <Button data-first onClick={onClose}>
            {t("conflict.back")}
          </Button>
          <Button title={t("conflict.takeAbout")} onClick={onTake}>
            {t("conflict.take")}
          </Button>
          <Button type="primary" danger title={t("conflict.keepAbout")} loading={busy} onClick={onKeep}>
            {t("conflict.keep")}
          </Button>
        </>
      }
    >
      <div className="conflict" data-testid="conflict">
        <ProblemAlert error={error} />
        <p>
          {t("conflict.about", {
            user: theirs.changed_by ?? "",
            version: theirs.version ?? 0,
            before: base.version ?? 0,
          })}
        </p>
        <h3>{t("conflict.theirs")}</h3>
        {diff.data ? (
          <Diff diff={diff.data} />
        ) : diff.error ? (
          <ProblemAlert error={diff.error} />
        ) : (
          <SkeletonRows rows={2} />
        )}
        <h3>{t("conflict.yours")}</h3>
        <Diff diff={localDiff(base.policy ?? { name: base.name }, mine)} />
        <p className="quiet">
          {t("conflict.take")}: {t("conflict.takeAbout")} {t("conflict.keep")}: {t("conflict.keepAbout")}
        </p>
      </div>
    </Dialog>
  );
}
