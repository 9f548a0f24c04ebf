import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { joinTokensQuery, sitesQuery } from "../../api/queries";
import { Choose } from "../../app/choose";
import { Dialog } from "../../app/dialog";
import { Field } from "../../app/field";
import { Command, ProblemAlert } from "../../app/states";
import { useZone } from "../../app/zone";
import { dateTime, type Zone, zoneName } from "../../format/time";
import "../../i18n/hosts";

const HOUR = 3600;
const VALID = [HOUR, 24 * HOUR, 7 * 24 * HOUR] as const;
const USES = [1, 10, 100] as const;

interface Props {
  kind: "agent" | "server";
  /** Fixed for a server; a host's may be chosen. */
  site: { id: string; name: string } | undefined;
  onClose: () => void;
}

/** Makes a join token and shows the command that carries it, once. */
export function JoinDialog({ kind, site, onClose }: Props) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const zone = useZone();
  const sites = useQuery({ ...sitesQuery, enabled: site === undefined });
  const [chosen, setChosen] = useState<string | undefined>(site?.id);
  const [valid, setValid] = useState<number>(HOUR);
  const [uses, setUses] = useState<number>(1);
  // Only a site that a server has joined can take hosts; which those are the console says when asked.
  const siteId = chosen ?? (kind === "agent" ? sites.data?.items[0]?.id : undefined);
  const none = kind === "agent" && sites.data?.items.length === 0;
  const make = useMutation({
    mutationFn: () =>
      answer(
        api.POST("/api/v1/join-tokens", {
          body: { kind, site: siteId, valid_seconds: valid, uses },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: joinTokensQuery.queryKey }),
  });
  const title =
    kind === "agent"
      ? t("join.agentTitle")
      : site
        ? t("join.serverTitle", { site: site.name })
        : t("join.anyServerTitle");
  const about =
    kind === "agent" ? t("join.agentAbout") : site ? t("join.serverAbout") : t("join.anyServerAbout");

  return (
    <Dialog
      title={title}
      onClose={onClose}
      onSubmit={() => (make.data ? onClose() : make.mutate())}
      // A click beside the dialog must not lose a command that is shown only once.
      firm={make.data !== undefined}
      width={640}
      footer={
        make.data ? (
          <Button type="primary" htmlType="submit">
            {t("join.done")}
          </Button>
        ) : (
          <>
            <Button onClick={onClose}>{t("common.cancel")}</Button>
            <Button
              type="primary"
              loading={make.isPending}
              htmlType="submit"
              disabled={kind === "agent" && !siteId}
            >
              {t("join.make")}
            </Button>
          </>
        )
      }
    >
      <div className="form">
        <p className="form-about">{about}</p>
        {none ? <Alert type="info" showIcon title={t("join.noSite")} /> : null}
        <ProblemAlert error={make.error ?? sites.error} />
        {make.data ? (
          <div data-testid="join-command">
            <b>{t("join.command")}</b>
            <Command text={make.data.command} />
            <p className="quiet">{t("join.once", { time: expiry(make.data.expires_at, zone) })}</p>
            <p className="quiet">{t("join.waiting")}</p>
          </div>
        ) : (
          <>
            {kind === "agent" && (sites.data?.items.length ?? 0) > 1 ? (
              <Field label={t("join.site")}>
                {(props) => (
                  <Choose
                    {...props}
                    value={siteId ?? ""}
                    options={(sites.data?.items ?? []).map((other) => ({
                      value: other.id,
                      label: other.name,
                    }))}
                    onChange={setChosen}
                  />
                )}
              </Field>
            ) : null}
            <Field label={t("join.valid")}>
              {(props) => (
                <Choose
                  {...props}
                  value={valid}
                  options={VALID.map((value, at) => ({
                    value,
                    label: [t("join.hour"), t("join.day"), t("join.week")][at] ?? String(value),
                  }))}
                  onChange={setValid}
                />
              )}
            </Field>
            <Field label={t("join.uses")}>
              {(props) => (
                <Choose
                  {...props}
                  value={uses}
                  options={USES.map((value) => ({
                    value,
                    label: value === 1 ? t("join.usesOnce") : t("join.usesTimes", { count: value }),
                  }))}
                  onChange={setUses}
                />
              )}
            </Field>
          </>
        )}
      </div>
    </Dialog>
  );
}

function expiry(at: string, zone: Zone): string {
  const date = new Date(at);
  return `${dateTime(date, zone)} ${zoneName(date, zone)}`;
}
