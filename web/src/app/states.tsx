import { CheckOutlined, CopyOutlined } from "@ant-design/icons";
import { Alert, Button } from "antd";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { asApiError } from "../api/problem";
import { sentence } from "../format/sentence";
import { useCopy } from "./copy";

/** What a page shows when its request failed: what to do, and an id to name when asking for help. */
export function ErrorState({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useTranslation();
  const copy = useCopy();
  const problem = asApiError(error);
  const [title, advice] = problem.away
    ? [t("errors.unreachableTitle"), t("errors.unreachable")]
    : problem.status === 403
      ? [t("errors.refusedTitle"), t("errors.refused")]
      : problem.status === 404
        ? [t("errors.missingTitle"), t("errors.missing")]
        : [
            problem.title || t("errors.failedTitle"),
            problem.id ? t("errors.failed") : t("errors.failedBare"),
          ];
  return (
    <section className="state" role="alert" data-testid={problem.status === 403 ? "no-permission" : "error"}>
      <h2>{title}</h2>
      {problem.detail && !problem.away ? <p>{sentence(problem.detail)}</p> : null}
      <p className="quiet">{advice}</p>
      <div className="state-actions">
        {onRetry && problem.status !== 403 ? (
          <Button type="primary" onClick={onRetry}>
            {t("common.retry")}
          </Button>
        ) : null}
        {problem.id ? (
          <span className="error-id">
            {t("common.errorId")} <code>{problem.id}</code>
            <Button
              size="small"
              type="text"
              icon={<CopyOutlined />}
              aria-label={t("common.copyErrorId")}
              onClick={() => void copy(problem.id ?? "")}
            />
          </span>
        ) : null}
      </div>
    </section>
  );
}

/** What came of a form that was refused; nothing while there is no error. */
export function ProblemAlert({ error }: { error: unknown }) {
  const { t } = useTranslation();
  if (!error) return null;
  const problem = asApiError(error);
  const text = problem.away
    ? `${t("errors.unreachableTitle")}. ${t("errors.unreachableForm")}`
    : sentence(problem.message || t("errors.failedTitle"));
  const id = problem.id && problem.status >= 500 ? ` (${t("common.errorId")} ${problem.id})` : "";
  return <Alert type="error" showIcon role="alert" title={text + id} />;
}

/** A list stays while the console is away; this says that it may be out of date. */
export function StaleNotice() {
  const { t } = useTranslation();
  return (
    <p className="stale" role="status">
      {t("errors.unreachableTitle")}. {t("errors.unreachable")}
    </p>
  );
}

export function EmptyState({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="state" data-testid="empty">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/** Sites that did not answer: the rest is shown, and this says what is missing. */
export function PartialNotice({
  problems,
}: {
  problems: { site: string; title: string; detail?: string | null }[];
}) {
  const { t } = useTranslation();
  if (problems.length === 0) return null;
  return (
    <Alert
      type="warning"
      showIcon
      className="partial"
      data-testid="partial"
      title={t("errors.partialTitle")}
      description={
        <ul>
          {problems.map((problem) => (
            <li key={problem.site + problem.title}>
              <b>{problem.site}</b>: {sentence(problem.detail || problem.title)}
            </li>
          ))}
        </ul>
      }
    />
  );
}

/** Grey lines where a table will be; visible only after a moment, so that quick answers do not flicker. */
export function SkeletonRows({ rows }: { rows: number }) {
  const { t } = useTranslation();
  return (
    <div className="skeleton" role="status" aria-label={t("common.loading")} data-testid="loading">
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all the same and never move
        <div key={row} className="skeleton-row" />
      ))}
    </div>
  );
}

/** A command to copy, shown as it is to be typed. */
export function Command({ text }: { text: string }) {
  const { t } = useTranslation();
  const copy = useCopy();
  const [copied, setCopied] = useState(false);
  return (
    <div className="command">
      <code>{text}</code>
      <Button
        size="small"
        icon={copied ? <CheckOutlined /> : <CopyOutlined />}
        onClick={async () => setCopied(await copy(text))}
      >
        {copied ? t("common.copied") : t("common.copy")}
      </Button>
    </div>
  );
}
