import { Alert, Button, Spin } from "antd";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { clock } from "../../format/time";
import type { Snapshot, Trouble } from "../core/messages";
import { type PlayerController, useSnapshot } from "./controller";

const getStatus = (s: Snapshot) => s.status;
// Compared as text, so that the list renders again only when something in it is new.
const getTroubles = (s: Snapshot) => JSON.stringify(s.troubles);
const getDuration = (s: Snapshot) => s.durationUs;
const hasPicture = (s: Snapshot) => s.width > 0;
const getLive = (s: Snapshot) => s.live;

/** Play goes on all the same. */
const PASSING = new Set<Trouble["kind"]>(["damaged", "newer", "outside", "no-video", "video"]);

/** Above the picture: what is being waited for, and what is wrong. */
export function Overlay({ player }: { player: PlayerController }) {
  const { t } = useTranslation();
  const status = useSnapshot(player, getStatus);
  const picture = useSnapshot(player, hasPicture);
  const live = useSnapshot(player, getLive);
  const waiting = status === "loading" || status === "buffering" || status === "seeking";
  const early = status === "loading" && live;
  return (
    <>
      {waiting ? (
        <div className="stage-wait" role="status">
          <Spin size="large" />
          <span>
            {early
              ? t("player.emptyLive")
              : status === "loading"
                ? t("player.loading")
                : status === "seeking"
                  ? t("player.seeking")
                  : t("player.buffering")}
          </span>
        </div>
      ) : null}
      {status === "ended" && !picture ? (
        <div className="stage-wait" role="status">
          <span>{t("player.noPicture")}</span>
        </div>
      ) : null}
      <Troubles player={player} />
    </>
  );
}

function Troubles({ player }: { player: PlayerController }) {
  const { t } = useTranslation();
  const text = useSnapshot(player, getTroubles);
  const duration = useSnapshot(player, getDuration);
  const [dismissed, setDismissed] = useState<readonly string[]>([]);
  const troubles = useMemo(() => JSON.parse(text) as Trouble[], [text]);
  const shown = troubles.filter((trouble) => !dismissed.includes(keyOf(trouble)));
  if (shown.length === 0) return null;
  return (
    <div className="stage-troubles" data-testid="troubles">
      {shown.slice(-3).map((trouble) => {
        const stops = !PASSING.has(trouble.kind);
        const detail = trouble.detail.replace(/\.$/, "");
        const sign = (trouble.atUs ?? 0) < 0 ? "−" : "";
        const at = Number.isFinite(trouble.atUs) ? sign + clock(Math.abs(trouble.atUs ?? 0)) : "—";
        return (
          <Alert
            key={keyOf(trouble)}
            type={stops ? "error" : "warning"}
            showIcon
            role="alert"
            data-kind={trouble.kind}
            title={
              t(
                trouble.kind === "outside" && detail
                  ? "player.trouble.refused"
                  : trouble.kind === "connection" && trouble.httpStatus === undefined
                    ? "player.trouble.away"
                    : `player.trouble.${trouble.kind}`,
                { at, detail, from: clock(0), to: clock(duration) },
              ) + (trouble.id ? ` (${t("common.errorId")} ${trouble.id})` : "")
            }
            action={
              stops ? (
                <Button
                  size="small"
                  onClick={() =>
                    trouble.kind === "broken" ? window.location.reload() : player.send({ type: "retry" })
                  }
                >
                  {trouble.kind === "broken" ? t("player.trouble.reload") : t("common.retry")}
                </Button>
              ) : undefined
            }
            closable={
              stops ? false : { onClose: () => setDismissed((before) => [...before, keyOf(trouble)]) }
            }
          />
        );
      })}
    </div>
  );
}

function keyOf(trouble: Trouble): string {
  return `${trouble.kind} ${trouble.atUs ?? ""} ${trouble.detail}`;
}
