import { Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { inDialog } from "../../app/dialog";
import { Field } from "../../app/field";
import { count } from "../../format/numbers";
import { ago } from "../../format/time";
import { isRange, readRange, writeAddress } from "./addresses";
import { isLong, type ListName, LONGEST_ENTRY, MOST_ENTRIES } from "./draft";
import { type Suggestion, useDirectory, useStrangers } from "./suggestions";
import type { T } from "./words";

interface Props {
  list: ListName;
  /** Instead of the list's own. */
  label?: string;
  hint?: string;
  values: readonly string[];
  onChange: (values: string[]) => void;
  known: readonly Suggestion[];
  /** Only one entry. */
  single?: boolean;
  error?: string | undefined;
}

const KINDS: Partial<Record<ListName, "user" | "group">> = { users: "user", groups: "group" };
/** More are never shown at once: typing narrows them down. */
const MOST_SHOWN = 50;
const MOST_NAMED = 4;

/** A list of names, by choosing what is known of and by typing what is not. */
export function Entries({ list, label, hint, values, onChange, known, single = false, error }: Props) {
  const { t } = useTranslation("policies");
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const directory = useDirectory(KINDS[list], text);
  const strangers = useStrangers(KINDS[list], values, known);
  const addresses = list === "addresses";
  const long = values.find(isLong);
  const wrong =
    values.length > MOST_ENTRIES
      ? t("entriesMany", { most: count(MOST_ENTRIES), value: count(values.length) })
      : long
        ? t("entryLong", { text: `${long.slice(0, 40)}…`, most: LONGEST_ENTRY })
        : addresses && !single
          ? values.map((value) => slip(value, t)).find((said) => said)
          : undefined;
  const options = suggest(text, known, directory.items);
  const note = directory.away.length
    ? t(directory.remembered ? "directoryAway" : "directorySilent", { directory: directory.away.join(", ") })
    : directory.more
      ? t("directoryMore")
      : addresses && text.trim()
        ? typed(text, t)
        : strangers.length
          ? t("strangers", { names: brief(strangers) })
          : (hint ?? t(`listHints.${list}`));
  return (
    <Field label={label ?? t(`lists.${list}`)} hint={note} error={error ?? wrong}>
      {({ status, ...props }) => (
        <Select<string[]>
          {...props}
          {...(status ? { status } : {})}
          mode="tags"
          className="entries"
          data-list={list}
          value={[...values]}
          maxCount={single ? 1 : undefined}
          placeholder={t("type")}
          filterOption={false}
          optionLabelProp="value"
          getPopupContainer={inDialog}
          tokenSeparators={addresses ? [",", ";", "\n"] : ["\n"]}
          options={options.map((option) => ({
            value: option.value,
            label: <Option {...option} />,
          }))}
          onSearch={setText}
          open={open}
          onOpenChange={setOpen}
          onChange={(next) => {
            setText("");
            // While it is open the Tab key chooses as Enter does, and would take back what was just chosen.
            setOpen(false);
            const clean = next.map((entry) => entry.trim()).filter(Boolean);
            onChange([...new Set(clean)]);
          }}
        />
      )}
    </Field>
  );
}

function Option({ value, note, seen }: Suggestion) {
  const { t } = useTranslation("policies");
  const when = seen ? t("seen", { when: ago(new Date(seen), new Date()) }) : undefined;
  const more = [note, when].filter(Boolean).join(" · ");
  return (
    <span className="entry">
      <span>{value}</span>
      {more ? <span className="quiet">{more}</span> : null}
    </span>
  );
}

/** The first of many names. */
function brief(names: readonly string[]): string {
  const first = names.slice(0, MOST_NAMED).map((name) => `“${name}”`);
  return names.length > first.length ? `${first.join(", ")}, …` : first.join(", ");
}

/** What fits a text: of directories first, as they say more. */
function suggest(text: string, known: readonly Suggestion[], found: readonly Suggestion[]): Suggestion[] {
  const wanted = text.trim().toLowerCase();
  const byName = new Map<string, Suggestion>();
  for (const one of [...found, ...known.filter((each) => each.value.toLowerCase().includes(wanted))]) {
    const name = one.value.toLowerCase();
    if (!byName.has(name)) byName.set(name, one);
  }
  return [...byName.values()].slice(0, MOST_SHOWN);
}

/** What is wrong with an entry among addresses. */
export function slip(text: string, t: T): string | undefined {
  const read = readRange(text);
  if (isRange(read)) return undefined;
  switch (read.slip) {
    case "prefix":
      return t("slips.prefix", { text, most: read.most });
    case "host":
      return t("slips.host", { text, network: read.network });
    default:
      return t(`slips.${read.slip}`, { text });
  }
}

/** What an address means while it is typed. */
function typed(text: string, t: T): string {
  const read = readRange(text);
  if (!isRange(read)) return slip(text, t) ?? "";
  const end = (number: bigint) => writeAddress(number, read.kind);
  return read.from === read.to ? end(read.from) : t("rangeIs", { from: end(read.from), to: end(read.to) });
}
