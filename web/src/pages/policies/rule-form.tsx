import { DeleteOutlined, PlusOutlined } from "@ant-design/icons";
import { Button, Checkbox, Input, InputNumber } from "antd";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { Choose } from "../../app/choose";
import { Field } from "../../app/field";
import { BY_PRIORITY, type DraftRule, type Fault, ITEMS, notifies, recordsScreen } from "./draft";
import { Entries } from "./entries";
import { useKnown } from "./suggestions";
import type { RuleMask, RuleOptions } from "./types";
import { describeScope } from "./words";

interface Props {
  site: string;
  rule: DraftRule;
  faults: readonly Fault[];
  onChange: (rule: DraftRule) => void;
}

/** Everything about one rule. */
export function RuleForm({ site, rule, faults, onChange }: Props) {
  const { t } = useTranslation("policies");
  const id = useId();
  const known = useKnown(site);
  const naming = faults.find((fault) => fault === "name" || fault === "nameLong" || fault === "twice");
  return (
    <div className="rule-form">
      <div className="rule-names">
        <Field label={t("name")} error={naming ? t(`faults.${naming}`) : undefined}>
          {(props) => (
            <Input
              {...props}
              data-rule-name
              value={rule.name}
              maxLength={120}
              onChange={(event) => onChange({ ...rule, name: event.target.value })}
            />
          )}
        </Field>
        <Field
          label={t("description")}
          error={faults.includes("description") ? t("faults.description") : undefined}
        >
          {(props) => (
            <Input
              {...props}
              value={rule.description}
              maxLength={320}
              onChange={(event) => onChange({ ...rule, description: event.target.value })}
            />
          )}
        </Field>
      </div>
      <fieldset className="rule-part">
        <legend>{t("action")}</legend>
        <p className="quiet">{t("actionHint")}</p>
        <div className="choices">
          {BY_PRIORITY.map((action, at) => (
            <label key={action} className="choice">
              <input
                type="radio"
                name={`${id}-action`}
                value={action}
                checked={rule.action === action}
                aria-describedby={`${id}-${action}`}
                onChange={() => onChange({ ...rule, action })}
              />
              <span>
                <span className="quiet">{at + 1}.</span> {t(`actions.${action}`)}
              </span>
              <span id={`${id}-${action}`} className="quiet">
                {t(`actionAbout.${action}`)}
              </span>
            </label>
          ))}
        </div>
      </fieldset>
      {notifies(rule.action) || recordsScreen(rule.action) ? (
        <fieldset className="rule-part">
          <legend>{t("options")}</legend>
          <Options rule={rule} faults={faults} onChange={(options) => onChange({ ...rule, options })} />
        </fieldset>
      ) : null}
      <fieldset className="rule-part">
        <legend>{t("scope")}</legend>
        <div className="choices">
          {([true, false] as const).map((everyone) => (
            <label key={String(everyone)} className="choice choice-wide">
              <input
                type="radio"
                name={`${id}-scope`}
                value={everyone ? "everyone" : "these"}
                checked={rule.scope.everyone === everyone}
                onChange={() => onChange({ ...rule, scope: { ...rule.scope, everyone } })}
              />
              <span>
                {t(everyone ? "everyone" : "these")}{" "}
                {everyone ? null : <span className="quiet">{t("scopeHint")}</span>}
              </span>
            </label>
          ))}
        </div>
        {(rule.scope.everyone ? [] : ITEMS).map(([item, lists], at) => (
          <div key={item} className="scope-item">
            <span className="scope-join quiet" aria-hidden>
              {at > 0 ? t("and") : ""}
            </span>
            <section className="scope-box" aria-label={t(`items.${item}`)} data-lists={lists.length}>
              {lists.map((list) => (
                <Entries
                  key={list}
                  list={list}
                  values={rule.scope[list]}
                  known={known[list]}
                  onChange={(entries) => onChange({ ...rule, scope: { ...rule.scope, [list]: entries } })}
                />
              ))}
            </section>
          </div>
        ))}
        <p className="rule-words" role="status" data-testid="rule-words">
          <b>{t(`actions.${rule.action}`)}</b>: {describeScope(rule.scope, t)}.
        </p>
        {faults.includes("scope") ? <p className="field-error">{t("faults.scope")}</p> : null}
      </fieldset>
    </div>
  );
}

interface OptionsProps {
  rule: DraftRule;
  faults: readonly Fault[];
  onChange: (options: RuleOptions) => void;
}

const USUAL_QUALITY = 50;

/** How sessions are recorded; only what the action has a use for. */
function Options({ rule: { action, options }, faults, onChange }: OptionsProps) {
  const { t } = useTranslation("policies");
  const picture = options.picture;
  const lossy = picture?.mode === "lossy";
  const check = (name: "consent" | "audio", about?: string) => (
    <Checkbox
      checked={options[name] === true}
      onChange={(event) => onChange({ ...options, [name]: event.target.checked })}
    >
      {t(name)} {about ? <span className="quiet">{about}</span> : null}
    </Checkbox>
  );
  const setPicture = (change: NonNullable<RuleOptions["picture"]>) => {
    const next = { ...picture, ...change };
    const plain = next.mode !== "lossy" && !next.frame_rate;
    const { picture: _, ...others } = options;
    onChange(plain ? others : { ...others, picture: next });
  };
  return (
    <div className="rule-options">
      {notifies(action) ? check("consent", t("consentAbout")) : null}
      {recordsScreen(action) ? (
        <>
          {check("audio")}
          <Checkbox
            checked={lossy}
            onChange={(event) =>
              setPicture(
                event.target.checked
                  ? { mode: "lossy", quality: picture?.quality ?? USUAL_QUALITY }
                  : { mode: "lossless" },
              )
            }
          >
            {t("lossy")} <span className="quiet">{t("lossyAbout")}</span>
          </Checkbox>
          <div className="rule-figures">
            {lossy ? (
              <Field label={t("quality")} hint={t("qualityHint")}>
                {(props) => (
                  <InputNumber
                    {...props}
                    min={0}
                    max={100}
                    precision={0}
                    value={picture?.quality ?? USUAL_QUALITY}
                    onChange={(quality) => setPicture({ quality: quality ?? USUAL_QUALITY })}
                  />
                )}
              </Field>
            ) : null}
            <Field label={t("frameRate")} hint={t("frameRateHint")}>
              {(props) => (
                <InputNumber
                  {...props}
                  min={1}
                  max={30}
                  precision={0}
                  value={picture?.frame_rate ?? null}
                  onChange={(rate) => setPicture({ frame_rate: rate ?? undefined })}
                />
              )}
            </Field>
          </div>
          <Masks
            masks={options.masks ?? []}
            wrong={faults.includes("mask")}
            onChange={(masks) => {
              const { masks: _, ...others } = options;
              onChange(masks.length ? { ...others, masks } : others);
            }}
          />
        </>
      ) : null}
    </div>
  );
}

interface MasksProps {
  masks: readonly RuleMask[];
  wrong: boolean;
  onChange: (masks: RuleMask[]) => void;
}

const PATTERNS = [
  ["class", "maskClass"],
  ["process", "maskProcess"],
  ["title", "maskTitle"],
] as const;
const LONGEST_PATTERN = 256;
const MOST_MASKS = 100;

function Masks({ masks, wrong, onChange }: MasksProps) {
  const { t } = useTranslation("policies");
  const change = (at: number, part: Partial<RuleMask>) =>
    onChange(masks.map((mask, place) => (place === at ? cleaned({ ...mask, ...part }) : mask)));
  return (
    <section className="masks" aria-label={t("masks")}>
      <b>{t("masks")}</b> <span className="quiet">{t("masksAbout")}</span>
      {masks.map((mask, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: masks have nothing that stays the same while they are typed
        <div key={at} className="mask">
          {PATTERNS.map(([name, label]) => (
            <Input
              key={name}
              aria-label={`${t(label)} ${at + 1}`}
              placeholder={t(label)}
              maxLength={LONGEST_PATTERN}
              spellCheck={false}
              value={mask[name] ?? ""}
              onChange={(event) => change(at, { [name]: event.target.value })}
            />
          ))}
          <Choose
            label={`${t("maskColour")} ${at + 1}`}
            value={mask.colour ?? "black"}
            options={(["black", "grey", "white"] as const).map((colour) => ({
              value: colour,
              label: t(`colours.${colour}`),
            }))}
            onChange={(colour) => change(at, { colour })}
          />
          <Button
            type="text"
            icon={<DeleteOutlined />}
            aria-label={t("removeMask", { number: at + 1 })}
            onClick={() => onChange(masks.filter((_, place) => place !== at))}
          />
        </div>
      ))}
      {wrong ? <p className="field-error">{t("faults.mask")}</p> : null}
      <div>
        <Button
          size="small"
          icon={<PlusOutlined />}
          disabled={masks.length >= MOST_MASKS}
          onClick={() => onChange([...masks, { colour: "black" }])}
        >
          {t("addMask")}
        </Button>
      </div>
    </section>
  );
}

/** Without empty patterns, which fit nothing. */
function cleaned(mask: RuleMask): RuleMask {
  const patterns = PATTERNS.flatMap(([name]) => (mask[name] ? [[name, mask[name]]] : []));
  return { ...Object.fromEntries(patterns), colour: mask.colour ?? "black" };
}
