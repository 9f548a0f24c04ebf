import type { TFunction } from "i18next";
import type { RecordingEvent } from "../../../api/types";
import type { events } from "../../../i18n/events";
import "../../../i18n/events";

type NoticeWhat = keyof typeof events.notice;

/** Nothing ends by this signal: the agent tells that the helper was stopped, and ended by itself therefore. */
const SIGSTOP = 19;

/** What happened, in words. What a later version tells is shown as it came. */
export function eventWords(t: TFunction<"events">, event: RecordingEvent): string {
  const { type, particulars } = event;
  switch (type) {
    case "notice": {
      const { what } = particulars;
      if (typeof what !== "string") return t("unknown");
      return t(`notice.${what as NoticeWhat}`, {
        defaultValue: t("noticeOther", { what }),
      });
    }
    case "helper-ended": {
      const { signal } = particulars;
      if (signal === SIGSTOP) return t("helperStopped");
      return typeof signal === "number" ? t("helperKilled", { signal }) : t("helperEnded");
    }
    case "unknown":
      return t("unknown");
    default: {
      const told = Object.entries(particulars).map(([name, value]) => `${name}: ${plain(value)}`);
      return told.length > 0 ? told.join(", ") : type;
    }
  }
}

/** The kind of event, in a word or two. */
export function eventKind(t: TFunction<"events">, event: RecordingEvent): string {
  switch (event.type) {
    case "notice":
      return t("kinds.notice");
    case "helper-ended":
      return t("kinds.helper");
    case "unknown":
      return t("kinds.unknown");
    default:
      return event.type;
  }
}

function plain(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
