import type { TFunction } from "i18next";
import { Fragment } from "react";
import { useTranslation } from "react-i18next";
import "../../i18n/policies";
import { ITEMS, type ListName } from "./draft";
import type { RuleAction, RuleOptions, RuleScope } from "./types";

export type T = TFunction<"policies">;

/** Entries that are spelled out; of more it is said how many. */
const MOST_NAMED = 4;

/** Which sessions a scope is for, in plain words: `members of Finance or Audit, on host ws-1, from 10.0.0.0/8`. */
export function describeScope(scope: RuleScope, t: T): string {
  if (scope.everyone) return t("words.everyone");
  const parts = scopeParts(scope, t);
  return parts.length === 0 ? t("words.nobody") : parts.join(t("words.and"));
}

/** What the scope asks for, one text for each item that it has entries of. */
export function scopeParts(scope: RuleScope, t: T): string[] {
  return ITEMS.flatMap(([, lists]) => {
    const said = lists.flatMap((list) => {
      const entries = scope[list] ?? [];
      return entries.length ? [named(list, entries, t)] : [];
    });
    return said.length ? [said.join(t("words.or"))] : [];
  });
}

function named(list: ListName, entries: readonly string[], t: T): string {
  const shown = entries.slice(0, MOST_NAMED);
  const rest = entries.length - shown.length;
  const all = rest > 0 ? [...shown, t("words.more", { count: rest })] : shown;
  return t(`words.${list}`, { list: all.join(t("words.or")) });
}

/** How sessions are recorded, where anything is said of that. */
export function describeOptions(options: RuleOptions | null | undefined, t: T): string[] {
  const said: string[] = [];
  if (options?.consent) said.push(t("did.consent"));
  if (options?.audio) said.push(t("did.audio"));
  if (options?.picture?.mode === "lossy") {
    const quality = options.picture.quality;
    said.push(quality === undefined ? t("did.lossy") : `${t("did.lossy")} (${quality})`);
  }
  if (options?.picture?.frame_rate) said.push(t("did.rate", { count: options.picture.frame_rate }));
  if (options?.masks?.length) {
    const names = options.masks.map((mask) => mask.class ?? mask.process ?? mask.title ?? "").join(", ");
    said.push(`${t("did.masks", { count: options.masks.length })} (${names})`);
  }
  return said;
}

const LOOKS: Record<RuleAction, string> = {
  disable: "badge",
  "record-with-notice": "badge badge-good",
  "events-with-notice": "badge badge-good",
  record: "badge badge-good",
  events: "badge badge-good",
};

/** What is done, and how. */
export function Deed({ action, options }: { action: RuleAction; options?: RuleOptions | null | undefined }) {
  const { t } = useTranslation("policies");
  const how = describeOptions(options, t);
  return (
    <span className="deed">
      <span className={LOOKS[action]}>{t(`actions.${action}`)}</span>
      {how.length > 0 ? <span className="quiet">{how.join(" · ")}</span> : null}
    </span>
  );
}

/** A scope with what joins its items set apart: within an item one entry is enough, and every item must fit. */
export function ScopeWords({ scope }: { scope: RuleScope }) {
  const { t } = useTranslation("policies");
  if (scope.everyone) return <span>{t("words.everyone")}</span>;
  const parts = scopeParts(scope, t);
  if (parts.length === 0) return <span className="quiet">{t("words.nobody")}</span>;
  return (
    <span className="scope-words">
      {parts.map((part, at) => (
        <Fragment key={part}>
          {at > 0 ? <span className="quiet"> {t("and")} </span> : null}
          {part}
        </Fragment>
      ))}
    </span>
  );
}
