import {
  CheckCircleFilled,
  CloseCircleFilled,
  ExclamationCircleFilled,
  MinusCircleOutlined,
} from "@ant-design/icons";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import type { Tried } from "../../api/types";

const ICONS = {
  ok: <CheckCircleFilled className="step-ok" />,
  doubtful: <ExclamationCircleFilled className="step-doubtful" />,
  failed: <CloseCircleFilled className="step-failed" />,
  skipped: <MinusCircleOutlined className="quiet" />,
} as const;

/** What was tried, and how each step went. */
export function Steps({ tried }: { tried: Tried }) {
  const { t } = useTranslation(["translation", "directories"]);
  const box = useRef<HTMLElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each answer comes into sight, below a form that may be long
  useEffect(() => box.current?.scrollIntoView({ block: "nearest" }), [tried]);
  return (
    <section ref={box} className="directory-steps" role="status" data-testid="steps">
      <b>{t(tried.works ? "directories:works" : "directories:worksNot")}</b>
      <ol>
        {tried.steps.map((step, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: steps never move, and the same may be there twice
          <li key={at} data-verdict={step.verdict}>
            {ICONS[step.verdict]}
            <span className="visually-hidden">{t(`directories:verdicts.${step.verdict}`)}</span>
            <b>{t(`directories:steps.${step.name as "connect"}`, step.name)}</b>
            <span>{step.verdict === "skipped" ? t("directories:verdicts.skipped") : step.detail}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
