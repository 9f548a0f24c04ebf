import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { asApiError } from "../../api/problem";
import type { Site } from "../../api/types";
import { Dialog } from "../../app/dialog";
import { useNotes } from "../../app/notes";
import { ProblemAlert, SkeletonRows } from "../../app/states";
import { sentence } from "../../format/sentence";
import { MOST_LOOKED_AT, outlook } from "./outlook";
import { policiesQuery, runningQuery } from "./queries";
import type { UserSession } from "./types";

interface Props {
  site: Site;
  policy: { id: string; name: string };
  onClose: () => void;
  onDone?: () => void;
}

/** Asks before another policy becomes the active one, and says what that means for sessions that run. */
export function Activate({ site, policy, onClose, onDone }: Props) {
  const { t } = useTranslation("policies");
  const { t: common } = useTranslation();
  const notes = useNotes();
  const client = useQueryClient();
  const list = useQuery(policiesQuery(site.id));
  const activate = useMutation({
    mutationFn: () =>
      answer(
        api.POST("/api/v1/sites/{id}/policies/{policy}/activate", {
          params: { path: { id: site.id, policy: policy.id } },
        }),
      ),
    onSuccess: async () => {
      await Promise.all(
        [["policies", site.id], ["policy-history", site.id], ["running-sessions"]].map((queryKey) =>
          client.invalidateQueries({ queryKey }),
        ),
      );
      void notes.success(t("activated", { policy: policy.name }));
      onDone?.();
      onClose();
    },
  });
  const off = policy.id === "do-not-record";
  return (
    <Dialog
      title={off ? t("deactivateTitle", { site: site.name }) : t("activateTitle", { policy: policy.name })}
      onClose={onClose}
      onSubmit={() => {
        if (!activate.isPending) activate.mutate();
      }}
      width={600}
      footer={
        <>
          <Button data-first onClick={onClose}>
            {common("common.cancel")}
          </Button>
          <Button type="primary" danger={off} htmlType="submit" loading={activate.isPending}>
            {t(off ? "deactivate" : "activate")}
          </Button>
        </>
      }
    >
      <ProblemAlert error={activate.error} />
      <p>{t("activateAbout", { site: site.name, before: list.data?.active.name ?? "…" })}</p>
      <Running site={site.id} policy={policy.id} />
    </Dialog>
  );
}

/** In the order of how much it changes. */
const FATES = [
  ["stops", "runningStops"],
  ["notify", "runningNotify"],
  ["later", "runningLater"],
  ["goes", "runningGoes"],
  ["same", "runningSame"],
  ["hand", "runningHand"],
] as const;

function Running({ site, policy }: { site: string; policy: string }) {
  const { t } = useTranslation("policies");
  const running = useQuery(runningQuery(site));
  const sessions = running.data?.items;
  const fates = useQuery({
    queryKey: ["running-sessions", site, "fates", policy, sessions?.map((session) => session.id)],
    enabled: sessions !== undefined,
    staleTime: 0,
    queryFn: ({ signal }) => outlook(site, policy, sessions ?? [], signal),
  });
  const error = running.error ?? fates.error;
  return (
    <section className="panel outlook" aria-labelledby="outlook" data-testid="outlook">
      <h3 id="outlook">{t("running")}</h3>
      {error ? (
        <p role="alert">{t("runningFailed", { why: sentence(asApiError(error).message) })}</p>
      ) : !sessions || !fates.data ? (
        <SkeletonRows rows={2} />
      ) : sessions.length === 0 ? (
        <p className="quiet">{t("runningNone")}</p>
      ) : (
        <>
          <p className="quiet">{t("runningRule")}</p>
          <ul>
            {FATES.map(([fate, text]) => {
              const of = fates.data.get(fate);
              if (!of) return null;
              const named = fate === "stops" || fate === "notify" || fate === "later";
              return (
                <li key={fate} data-fate={fate}>
                  {t(text, { count: of.length })}
                  {named ? ` ${of.map(name).join(", ")}.` : null}
                </li>
              );
            })}
          </ul>
          {sessions.length > MOST_LOOKED_AT ? (
            <p className="quiet">{t("runningMore", { count: MOST_LOOKED_AT })}</p>
          ) : null}
        </>
      )}
    </section>
  );
}

const name = (session: UserSession) => `${session.user} (${session.host})`;
