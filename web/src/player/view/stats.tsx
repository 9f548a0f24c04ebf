import { useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import { bytes, count } from "../../format/numbers";
import { clock, duration } from "../../format/time";
import type { player } from "../../i18n/player";
import type { PlayerController } from "./controller";

type Label = keyof typeof player.player.statsLabels;

/** Figures of what the player is doing, for whoever looks for a cause. */
export function Stats({ player }: { player: PlayerController }) {
  const { t } = useTranslation();
  const s = useSyncExternalStore(player.subscribe, () => player.snapshot);
  const seek = s.seeks.at(-1);
  const rows: [Label, string][] = [
    ["status", s.status],
    ["position", clock(s.positionUs, true)],
    ["painted", s.paintedUs < 0 ? t("common.none") : clock(s.paintedUs, true)],
    ["buffer", `${duration(s.bufferedUs - s.positionUs)}, ${bytes(s.bufferBytes)}`],
    ["received", bytes(s.bytes)],
    ["picture", s.width > 0 ? `${s.width} × ${s.height}` : t("common.none")],
    ["pictures", count(s.pictures)],
    ["fragments", count(s.fragments)],
    ["decode", `${s.decodeMs.toFixed(1)} ms`],
    ["memory", bytes(s.memoryBytes)],
    ["seek", seek ? `${Math.round(seek.ms)} ms, ${bytes(seek.bytes)}` : t("common.none")],
    ["delay", s.delayMs === undefined ? t("common.none") : `${s.delayMs} ms`],
    ["chain", s.chainOk ? t("player.statsLabels.chainOk") : t("player.statsLabels.chainBroken")],
  ];
  return (
    <dl className="stats" data-testid="stats">
      {rows.map(([label, value]) => (
        <div key={label}>
          <dt>{t(`player.statsLabels.${label}`)}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
