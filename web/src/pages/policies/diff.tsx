import { useTranslation } from "react-i18next";
import type { PolicyDiff, Rule } from "./types";
import { describeOptions, describeScope, type T } from "./words";

/** What differs between two states of a policy, in words. */
export function Diff({ diff }: { diff: PolicyDiff }) {
  const { t } = useTranslation("policies");
  const nothing =
    !diff.name &&
    !diff.description &&
    !diff.reordered &&
    diff.added.length + diff.removed.length + diff.changed.length === 0;
  if (nothing) return <p className="quiet">{t("diff.same")}</p>;
  return (
    <div className="diff" data-testid="diff">
      {diff.name ? <Change label={t("diff.name")} before={diff.name[0]} after={diff.name[1]} /> : null}
      {diff.description ? (
        <Change label={t("diff.description")} before={diff.description[0]} after={diff.description[1]} />
      ) : null}
      {diff.added.map((rule) => (
        <section key={`+${rule.name}`} className="diff-rule" data-diff="added">
          <h4>
            {t("diff.added")}: {rule.name}
          </h4>
          <Line sign="+" text={summary(rule, t)} />
        </section>
      ))}
      {diff.removed.map((rule) => (
        <section key={`-${rule.name}`} className="diff-rule" data-diff="removed">
          <h4>
            {t("diff.removed")}: {rule.name}
          </h4>
          <Line sign="−" text={summary(rule, t)} />
        </section>
      ))}
      {diff.changed.map((change) => (
        <section key={`~${change.before.name}`} className="diff-rule" data-diff="changed">
          <h4>
            {t("diff.changed")}: {change.after.name}
          </h4>
          {change.fields.map((field) => (
            <Change
              key={field}
              label={t(`diff.field.${field as Field}`, field)}
              before={said(field as Field, change.before, t)}
              after={said(field as Field, change.after, t)}
            />
          ))}
        </section>
      ))}
      {diff.reordered ? <p>{t("diff.reordered")}</p> : null}
    </div>
  );
}

type Field = "name" | "description" | "action" | "options" | "scope";

function said(field: Field, rule: Rule, t: T): string {
  switch (field) {
    case "action":
      return t(`actions.${rule.action}`);
    case "options":
      return describeOptions(rule.options, t).join(" · ") || t("diff.plain");
    case "scope":
      return describeScope(rule.scope, t);
    default:
      return rule[field] ?? "";
  }
}

function summary(rule: Rule, t: T): string {
  const how = describeOptions(rule.options, t);
  const deed = [t(`actions.${rule.action}`), ...how].join(" · ");
  return `${deed}: ${describeScope(rule.scope, t)}`;
}

function Change({
  label,
  before,
  after,
}: {
  label: string;
  before: string | undefined;
  after: string | undefined;
}) {
  return (
    <div className="diff-change">
      <b>{label}</b>
      <Line sign="−" text={before} />
      <Line sign="+" text={after} />
    </div>
  );
}

function Line({ sign, text }: { sign: "+" | "−"; text: string | undefined }) {
  const { t } = useTranslation("policies");
  const Text = sign === "+" ? "ins" : "del";
  return (
    <Text className="diff-line">
      <span aria-hidden>{sign}</span>
      <span className="visually-hidden">{t(sign === "+" ? "diff.after" : "diff.before")}: </span>
      <span>{text || t("diff.empty")}</span>
    </Text>
  );
}
