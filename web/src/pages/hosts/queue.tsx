import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import type { HostQueue, SessionHost } from "../../api/types";
import { Dialog } from "../../app/dialog";
import { When } from "../../app/when";
import { bytes, count } from "../../format/numbers";
import { sentence } from "../../format/sentence";
import { duration } from "../../format/time";

/** What waits on a host until a server has it, in short; a click tells more. */
export function QueueCell({
  queue,
  host,
  onOpen,
}: {
  queue: HostQueue | null;
  host: string;
  onOpen: () => void;
}) {
  const { t } = useTranslation();
  if (!queue) return t("common.none");
  const trouble = queue.error !== null || queue.lost_recordings > 0;
  const look = queue.state === "full" || trouble ? "badge badge-warn" : undefined;
  return (
    <button
      type="button"
      className="plain-button"
      aria-label={t("queue.open", { host, what: short(queue, t) })}
      onClick={onOpen}
    >
      <span className={look}>{short(queue, t)}</span>
    </button>
  );
}

type T = TFunction;

function short(queue: HostQueue, t: T): string {
  if (queue.state === "full") return t("queue.full");
  if (queue.error !== null || queue.lost_recordings > 0) return t("queue.trouble");
  return queue.waiting_bytes === 0 ? t("queue.empty") : bytes(queue.waiting_bytes);
}

/** How a host's queue stands, whole. */
export function QueueDialog({ host, onClose }: { host: SessionHost; onClose: () => void }) {
  const { t } = useTranslation();
  const { queue } = host;
  if (!queue) return null;
  const named = (group: "whenFull" | "causes", name: string) =>
    group === "whenFull"
      ? t(`queue.whenFull.${name as "pause"}`, { defaultValue: name })
      : t(`causes.${name as "queue-full"}`, { defaultValue: name });
  return (
    <Dialog title={t("queue.title", { host: host.host })} onClose={onClose}>
      {queue.state === "full" ? (
        <p className="queue-trouble">{t("queue.fullAbout", { what: named("whenFull", queue.when_full) })}</p>
      ) : null}
      {queue.error ? <p className="queue-trouble">{sentence(queue.error)}</p> : null}
      <dl className="facts">
        <dt>{t("queue.waiting")}</dt>
        <dd>
          {queue.waiting_bytes === 0
            ? t("queue.nothing")
            : t("queue.waitingValue", {
                count: queue.waiting_fragments,
                fragments: count(queue.waiting_fragments),
                bytes: bytes(queue.waiting_bytes),
                age: duration(queue.oldest_seconds * 1_000_000),
              })}
        </dd>
        <dt>{t("queue.room")}</dt>
        <dd>{t("queue.roomValue", { quota: bytes(queue.quota_bytes), free: bytes(queue.free_bytes) })}</dd>
        <dt>{t("queue.leastFree")}</dt>
        <dd>{bytes(queue.least_free_bytes)}</dd>
        <dt>{t("queue.policy")}</dt>
        <dd>{named("whenFull", queue.when_full)}</dd>
        <dt>{t("queue.gaps")}</dt>
        <dd>
          {count(queue.gaps)}
          {queue.last_gap ? ` · ${t("queue.lastGap", { cause: named("causes", queue.last_gap) })}` : ""}
        </dd>
        <dt>{t("queue.lost")}</dt>
        <dd>{count(queue.lost_recordings)}</dd>
        <dt>{t("queue.refused")}</dt>
        <dd>{queue.refused === 0 ? "0" : `${count(queue.refused)} · ${bytes(queue.refused_bytes)}`}</dd>
        <dt>{t("queue.at")}</dt>
        <dd>
          <When at={queue.at} relative />
        </dd>
      </dl>
      {queue.refused > 0 ? <p className="quiet">{t("queue.refusedAbout")}</p> : null}
    </Dialog>
  );
}
