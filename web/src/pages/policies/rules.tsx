import { ArrowDownOutlined, ArrowUpOutlined, PlusOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { useNotes } from "../../app/notes";
import { type DraftRule, faults, hints, inOrder, moved, newRule } from "./draft";
import { RuleForm } from "./rule-form";
import { Deed, ScopeWords } from "./words";

interface Props {
  site: string;
  rules: DraftRule[];
  /** Key of the rule that is open. */
  open: string | undefined;
  onOpen: (key: string | undefined) => void;
  /** Without it the rules are shown only. */
  onChange?: (rules: DraftRule[]) => void;
  /** Says at each rule what keeps it from being saved. */
  checked: boolean;
}

/** The rules of a policy in the order in which they decide; one can be open for changes. */
export function Rules({ site, rules, open, onOpen, onChange, checked }: Props) {
  const { t } = useTranslation("policies");
  const notes = useNotes();
  const found = hints(rules);
  const fresh = useRef<string>(undefined);
  const list = useRef<HTMLOListElement>(null);

  // A rule that was just added: its name is what comes first.
  useEffect(() => {
    if (!open || fresh.current !== open) return;
    fresh.current = undefined;
    const field = list.current?.querySelector<HTMLInputElement>("[data-rule-name]");
    field?.focus();
    field?.select();
    field?.scrollIntoView({ block: "center" });
  }, [open]);

  const add = () => {
    const names = new Set(rules.map((rule) => rule.name.trim().toLowerCase()));
    let number = rules.length + 1;
    while (names.has(t("newRuleName", { number }).toLowerCase())) number += 1;
    const rule = newRule(t("newRuleName", { number }));
    fresh.current = rule.key;
    onChange?.([...rules, rule]);
    onOpen(rule.key);
  };
  const remove = (rule: DraftRule) => {
    onChange?.(rules.filter((other) => other !== rule));
    if (open === rule.key) onOpen(undefined);
    void notes.info(t("ruleRemoved", { rule: rule.name || t("unnamed") }));
  };
  const name = (at: number) => rules[at]?.name || t("unnamed");

  return (
    <div className="rules">
      <p className="quiet">{t("order")}</p>
      <ol className="rule-list" ref={list}>
        {inOrder(rules).map(({ rule, at }, place) => {
          const wrong = faults(rule, rules);
          const hint = found.find((one) => one.rule === at);
          const isOpen = open === rule.key;
          const same = rules.filter((other) => other.action === rule.action);
          const label = rule.name || t("unnamed");
          return (
            <li key={rule.key} className="rule panel" data-rule={rule.name} data-open={isOpen || undefined}>
              <div className="rule-head">
                <span className="rule-place" title={t("decidesAt", { number: place + 1 })}>
                  {place + 1}
                </span>
                <div className="rule-main">
                  <div className="rule-title">
                    <b>{label}</b>
                    <Deed action={rule.action} options={rule.options} />
                  </div>
                  <ScopeWords scope={rule.scope} />
                  {rule.description && !isOpen ? <p className="quiet">{rule.description}</p> : null}
                </div>
                {onChange ? (
                  <div className="rule-buttons">
                    {same.length > 1 ? (
                      <>
                        <Button
                          size="small"
                          type="text"
                          icon={<ArrowUpOutlined />}
                          aria-label={t("up", { rule: label })}
                          disabled={same[0] === rule}
                          onClick={() => onChange(moved(rules, rule.key, -1))}
                        />
                        <Button
                          size="small"
                          type="text"
                          icon={<ArrowDownOutlined />}
                          aria-label={t("down", { rule: label })}
                          disabled={same.at(-1) === rule}
                          onClick={() => onChange(moved(rules, rule.key, 1))}
                        />
                      </>
                    ) : null}
                    <Button
                      size="small"
                      aria-expanded={isOpen}
                      aria-label={t(isOpen ? "doneRuleLabel" : "editRuleLabel", { rule: label })}
                      onClick={() => onOpen(isOpen ? undefined : rule.key)}
                    >
                      {t(isOpen ? "doneRule" : "editRule")}
                    </Button>
                    <Button
                      size="small"
                      aria-label={t("removeRuleLabel", { rule: label })}
                      onClick={() => remove(rule)}
                    >
                      {t("removeRule")}
                    </Button>
                  </div>
                ) : null}
              </div>
              {hint ? (
                <p className="rule-hint" data-testid="hint">
                  {t(`hints.${hint.kind}`, { by: name(hint.by) })}
                </p>
              ) : null}
              {checked && wrong.length > 0 && !isOpen ? (
                <p className="field-error" role="alert">
                  {wrong.map((fault) => t(`faults.${fault}`)).join(" ")}
                </p>
              ) : null}
              {isOpen && onChange ? (
                <RuleForm
                  site={site}
                  rule={rule}
                  // What is not there yet is no fault while somebody is still at it.
                  faults={checked ? wrong : wrong.filter((fault) => fault !== "scope" && fault !== "mask")}
                  onChange={(next) => onChange(rules.map((other) => (other === rule ? next : other)))}
                />
              ) : null}
            </li>
          );
        })}
        <li className="rule rule-otherwise panel">
          <div className="rule-head">
            <span className="rule-place">{rules.length + 1}</span>
            <div>
              <b>{t("otherwise")}</b> <span>{t("otherwiseAbout")}</span>
              {rules.length === 0 ? (
                <p className="quiet">
                  {t("noRules")}. {t("noRulesAbout")}
                </p>
              ) : null}
            </div>
          </div>
        </li>
      </ol>
      {onChange ? (
        <div>
          <Button icon={<PlusOutlined />} onClick={add}>
            {t("addRule")}
          </Button>
        </div>
      ) : null}
    </div>
  );
}
