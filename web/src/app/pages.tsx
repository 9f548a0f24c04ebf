import { Link, useRouter } from "@tanstack/react-router";
import { Button } from "antd";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { ApiError } from "../api/problem";
import { ErrorState, SkeletonRows } from "./states";
import { useTitle } from "./title";

/** A console that is away is asked again this often. */
const ASK_AGAIN_MS = 3000;

export function NotFoundPage() {
  const { t } = useTranslation();
  useTitle(t("common.page"));
  return (
    <section className="state" data-testid="not-found">
      <h2>{t("common.page")}</h2>
      <p className="quiet">{t("common.pageDetail")}</p>
      <Link to="/recordings" search={{}}>
        {t("common.home")}
      </Link>
    </section>
  );
}

/** What stands in place of a page that could not be loaded or has failed. */
export function PageError({ error }: { error: unknown }) {
  const { t } = useTranslation();
  const router = useRouter();
  const away = error instanceof ApiError && error.away;
  useEffect(() => {
    if (!away) return;
    const timer = setInterval(() => void router.invalidate(), ASK_AGAIN_MS);
    return () => clearInterval(timer);
  }, [away, router]);
  if (error instanceof ApiError) return <ErrorState error={error} onRetry={() => void router.invalidate()} />;
  return (
    <section className="state" role="alert">
      <h2>{t("errors.crashedTitle")}</h2>
      <p className="quiet">{t("errors.crashed")}</p>
      <p>
        <code>{error instanceof Error ? error.message : String(error)}</code>
      </p>
      <Button type="primary" onClick={() => window.location.reload()}>
        {t("errors.reload")}
      </Button>
    </section>
  );
}

export function PagePending() {
  return <SkeletonRows rows={8} />;
}
