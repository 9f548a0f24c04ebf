import { isRange, readRange, touch, within } from "./addresses";
import type { Policy, Rule, RuleAction, RuleMask, RuleOptions } from "./types";

/** What can be done with a session, the highest priority first: it decides which rule does. */
export const BY_PRIORITY = [
  "disable",
  "record-with-notice",
  "events-with-notice",
  "record",
  "events",
] as const satisfies readonly RuleAction[];

export const LISTS = [
  "users",
  "groups",
  "applications",
  "hosts",
  "delivery_groups",
  "addresses",
  "tags",
] as const;
export type ListName = (typeof LISTS)[number];

/** What a rule asks for; the lists of one count together. */
export const ITEMS = [
  ["people", ["users", "groups"]],
  ["applications", ["applications"]],
  ["machines", ["hosts", "delivery_groups"]],
  ["addresses", ["addresses"]],
  ["tags", ["tags"]],
] as const satisfies readonly (readonly [string, readonly ListName[]])[];

/** Entries of the lists; they are kept, but count for nothing, while the rule is for every session. */
export type Scope = Record<ListName, string[]> & { everyone: boolean };

/** A rule while it is edited: every field is there. */
export interface DraftRule {
  /** Tells it from others on the page alone. */
  key: string;
  name: string;
  description: string;
  action: RuleAction;
  options: RuleOptions;
  scope: Scope;
}

export interface Draft {
  name: string;
  description: string;
  rules: DraftRule[];
}

let keys = 0;
const newKey = () => {
  keys += 1;
  return `rule-${keys}`;
};

export function noScope(): Scope {
  return {
    everyone: false,
    users: [],
    groups: [],
    applications: [],
    hosts: [],
    delivery_groups: [],
    addresses: [],
    tags: [],
  };
}

export function newRule(name: string): DraftRule {
  return {
    key: newKey(),
    name,
    description: "",
    action: "record-with-notice",
    options: {},
    scope: noScope(),
  };
}

export function toDraft(policy: Policy): Draft {
  return {
    name: policy.name,
    description: policy.description ?? "",
    rules: (policy.rules ?? []).map(toDraftRule),
  };
}

export function toDraftRule(rule: Rule): DraftRule {
  return {
    key: newKey(),
    name: rule.name,
    description: rule.description ?? "",
    action: rule.action,
    options: rule.options ?? {},
    scope: { ...noScope(), ...rule.scope },
  };
}

/** What is sent: without empty lists, and without options that the action has no use for. */
export function toPolicy(draft: Draft): Policy {
  return {
    name: draft.name.trim(),
    description: draft.description.trim(),
    rules: draft.rules.map((rule) => ({
      name: rule.name.trim(),
      description: rule.description.trim(),
      action: rule.action,
      options: fitting(rule.action, rule.options),
      scope: rule.scope.everyone
        ? { everyone: true }
        : Object.fromEntries(
            LISTS.flatMap((list) => (rule.scope[list].length ? [[list, rule.scope[list]]] : [])),
          ),
    })),
  };
}

export function sameDraft(a: Draft, b: Draft): boolean {
  return JSON.stringify(toPolicy(a)) === JSON.stringify(toPolicy(b));
}

export const recordsScreen = (action: RuleAction) => action === "record" || action === "record-with-notice";
export const notifies = (action: RuleAction) =>
  action === "record-with-notice" || action === "events-with-notice";

/** The options that an action has a use for. */
export function fitting(action: RuleAction, options: RuleOptions): RuleOptions {
  const kept: RuleOptions = {};
  if (notifies(action) && options.consent) kept.consent = true;
  if (!recordsScreen(action)) return kept;
  if (options.audio) kept.audio = true;
  if (options.picture) kept.picture = options.picture;
  if (options.masks?.length) kept.masks = options.masks;
  return kept;
}

/** Rules with their places in the policy, in the order in which they decide. */
export function inOrder<R extends { action: RuleAction }>(rules: readonly R[]): { rule: R; at: number }[] {
  return rules
    .map((rule, at) => ({ rule, at }))
    .sort((a, b) => BY_PRIORITY.indexOf(a.rule.action) - BY_PRIORITY.indexOf(b.rule.action) || a.at - b.at);
}

/** Moves a rule before or behind the next one of the same action; others do not compete with it. */
export function moved(rules: DraftRule[], key: string, step: 1 | -1): DraftRule[] {
  const at = rules.findIndex((rule) => rule.key === key);
  const rule = rules[at];
  if (!rule) return rules;
  let other = at + step;
  while (rules[other] && rules[other]?.action !== rule.action) other += step;
  const with_ = rules[other];
  if (!with_) return rules;
  return rules.map((each, place) => (place === at ? with_ : place === other ? rule : each));
}

export type Fault =
  | "name"
  | "nameLong"
  | "twice"
  | "scope"
  | "many"
  | "long"
  | "address"
  | "mask"
  | "description";

/** Entries of one list, and bytes of an entry. */
export const MOST_ENTRIES = 1000;
export const LONGEST_ENTRY = 256;
/** Whether an entry is longer than may be. */
export const isLong = (entry: string) => new TextEncoder().encode(entry).length > LONGEST_ENTRY;

/** What keeps a rule from being saved. */
export function faults(rule: DraftRule, all: readonly DraftRule[]): Fault[] {
  const name = folded(rule.name);
  const found: Fault[] = [];
  if (name === "") found.push("name");
  else if ([...rule.name.trim()].length > 100) found.push("nameLong");
  else if (all.some((other) => other !== rule && folded(other.name) === name)) found.push("twice");
  if ([...rule.description].length > 300) found.push("description");
  if (!rule.scope.everyone) {
    if (empty(rule.scope)) found.push("scope");
    if (LISTS.some((list) => rule.scope[list].length > MOST_ENTRIES)) found.push("many");
    if (LISTS.some((list) => rule.scope[list].some(isLong))) found.push("long");
    if (rule.scope.addresses.some((address) => !isRange(readRange(address)))) found.push("address");
  }
  if (recordsScreen(rule.action) && rule.options.masks?.some((mask) => !saysSomething(mask)))
    found.push("mask");
  return found;
}

export function saysSomething(mask: RuleMask): boolean {
  return [mask.class, mask.process, mask.title].some((pattern) => pattern);
}

const empty = (scope: Scope) => LISTS.every((list) => scope[list].length === 0);

const folded = (name: string) => name.trim().toLowerCase();

/** Something about two rules that whoever made them may not have meant. */
export interface Hint {
  kind: "covered" | "contradicts";
  /** Place of the rule that it is said of. */
  rule: number;
  /** Place of the rule that comes before it. */
  by: number;
}

/** More rules than this are not compared with each other: that would take too long while somebody types. */
const MOST_COMPARED = 300;

/** Rules that can never decide, and rules that differ about sessions that both name. */
export function hints(rules: readonly DraftRule[]): Hint[] {
  if (rules.length > MOST_COMPARED) return [];
  const order = inOrder(rules);
  return order.flatMap(({ rule, at }, place): Hint[] => {
    const before = order.slice(0, place);
    const covering = before.find((other) => covers(other.rule.scope, rule.scope));
    if (covering) return [{ kind: "covered", rule: at, by: covering.at }];
    const against = before.find(
      (other) =>
        other.rule.action === "disable" && rule.action !== "disable" && meet(other.rule.scope, rule.scope),
    );
    return against ? [{ kind: "contradicts", rule: at, by: against.at }] : [];
  });
}

/** Whether every session of the inner scope is in the outer one, as far as their entries tell. */
function covers(outer: Scope, inner: Scope): boolean {
  if (outer.everyone) return true;
  // What is for nobody yet covers nothing.
  if (inner.everyone || empty(outer)) return false;
  return ITEMS.every(([, lists]) => {
    if (lists.every((list) => outer[list].length === 0)) return true;
    if (lists.every((list) => inner[list].length === 0)) return false;
    return lists.every((list) =>
      inner[list].every((entry) => outer[list].some((other) => holds(list, other, entry))),
    );
  });
}

/** Whether both name the same session: they share an entry, and no item of theirs keeps them apart. */
function meet(a: Scope, b: Scope): boolean {
  if (a.everyone || b.everyone) return false;
  let shared = false;
  for (const [, lists] of ITEMS) {
    const asks = (scope: Scope) => lists.some((list) => scope[list].length > 0);
    if (!asks(a) || !asks(b)) continue;
    const both = lists.some((list) =>
      a[list].some((entry) => b[list].some((other) => same(list, entry, other))),
    );
    if (!both) return false;
    shared = true;
  }
  return shared;
}

function holds(list: ListName, outer: string, inner: string): boolean {
  if (list !== "addresses") return folded(outer) === folded(inner);
  const [a, b] = [readRange(outer), readRange(inner)];
  return isRange(a) && isRange(b) && within(b, a);
}

function same(list: ListName, one: string, other: string): boolean {
  if (list !== "addresses") return folded(one) === folded(other);
  const [a, b] = [readRange(one), readRange(other)];
  return isRange(a) && isRange(b) && touch(a, b);
}
