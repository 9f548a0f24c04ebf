import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { inOrder } from "./draft";
import type { PolicyAnswer, RuleVerdict } from "./types";
import { Deed } from "./words";

/** Rules that do not fit are many in a large policy, and seldom what one looks for. */
const MOST_SHOWN = 12;

/** What would be done, the rule that decides, and of every rule why it fits or not. */
export function Verdicts({ answer }: { answer: PolicyAnswer }) {
  const { t } = useTranslation("policies");
  const [all, setAll] = useState(false);
  const order = inOrder(answer.rules).map(({ rule }, place) => ({ verdict: rule, place: place + 1 }));
  const decides = order.find(({ verdict }) => verdict.decides);
  const hidden = all || order.length <= MOST_SHOWN ? [] : order.filter(({ verdict }) => !verdict.fits);
  const shown = order.filter((one) => !hidden.includes(one));
  return (
    <div className="verdicts">
      <div className="panel verdict-answer" data-testid="answer" data-action={answer.action}>
        <div className="verdict-deed">
          <Deed action={answer.action} options={answer.options} />
        </div>
        <p>
          {decides
            ? t("simulator.by", { number: decides.place, rule: decides.verdict.name })
            : isSystem(answer)
              ? t("simulator.systemPolicy", { policy: answer.policy.name })
              : t("simulator.none")}
        </p>
        <Asked answer={answer} />
      </div>
      {order.length > 0 ? (
        <>
          <h3>{t("simulator.verdicts")}</h3>
          <ol className="verdict-list">
            {shown.map(({ verdict, place }) => (
              <Verdict key={verdict.index} verdict={verdict} place={place} />
            ))}
          </ol>
          {hidden.length > 0 ? (
            <Button onClick={() => setAll(true)}>{t("simulator.moreRules", { count: hidden.length })}</Button>
          ) : null}
        </>
      ) : null}
    </div>
  );
}

/** A system policy has no rules, and a word for its id. */
function isSystem({ policy, rules }: PolicyAnswer): boolean {
  return rules.length === 0 && policy.id !== null && !/^[0-9a-f]{8}-/.test(policy.id);
}

function Asked({ answer: { facts } }: { answer: PolicyAnswer }) {
  const { t } = useTranslation("policies");
  const said = [
    [t("lists.users"), facts.users?.join(", ")],
    [t("lists.groups"), facts.groups?.join(", ")],
    [t("simulator.application"), facts.application],
    [t("simulator.host"), facts.host],
    [t("lists.delivery_groups"), facts.delivery_groups?.join(", ")],
    [t("simulator.address"), facts.address],
    [t("lists.tags"), facts.tags?.join(", ")],
  ].filter(([, value]) => value);
  return (
    <dl className="asked">
      {said.map(([label, value]) => (
        <div key={label}>
          <dt className="quiet">{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

const MARKS = { fits: "✓", differs: "✕", unknown: "?", "not-asked": "·" } as const;

function Verdict({ verdict, place }: { verdict: RuleVerdict; place: number }) {
  const { t } = useTranslation("policies");
  const state = verdict.decides ? "decides" : verdict.fits ? "later" : "fitsNot";
  const look = { decides: "badge badge-good", later: "badge badge-warn", fitsNot: "badge" }[state];
  return (
    <li className="panel verdict" data-rule={verdict.name} data-state={state}>
      <div className="verdict-head">
        <span className="rule-place">{place}</span>
        <b>{verdict.name}</b>
        <span className="quiet">{t(`actions.${verdict.action}`)}</span>
        <span className={look}>{t(`simulator.${state}`)}</span>
      </div>
      <ul>
        {verdict.fits && verdict.items.every((item) => item.is === "not-asked") ? (
          <li data-is="fits">
            <span aria-hidden className="verdict-mark">
              {MARKS.fits}
            </span>
            {t("simulator.everyone")}
          </li>
        ) : null}
        {verdict.items
          .filter((item) => item.is !== "not-asked")
          .map((item) => (
            <li key={item.item} data-is={item.is}>
              <span aria-hidden className="verdict-mark">
                {MARKS[item.is]}
              </span>
              {t(`simulator.why.${item.is}`, { item: t(`items.${item.item}`), entry: item.entry ?? "" })}
            </li>
          ))}
      </ul>
    </li>
  );
}
