import type { Policy, PolicyDiff, Rule } from "./types";

const FIELDS = ["name", "description", "action", "options", "scope"] as const;

/** What differs between two policies of which at least one is not kept; rules are the same where their names are. */
export function localDiff(before: Policy, after: Policy): PolicyDiff {
  const [old, now] = [before.rules ?? [], after.rules ?? []];
  const find = (rules: readonly Rule[], name: string) =>
    rules.find((rule) => rule.name.toLowerCase() === name.toLowerCase());
  const pair = (a = "", b = "") => (a === b ? null : [a, b]);
  const both = (rules: readonly Rule[], others: readonly Rule[]) =>
    rules.filter((rule) => find(others, rule.name)).map((rule) => rule.name.toLowerCase());
  return {
    from: 0,
    to: 0,
    name: pair(before.name, after.name),
    description: pair(before.description, after.description),
    added: now.filter((rule) => !find(old, rule.name)),
    removed: old.filter((rule) => !find(now, rule.name)),
    changed: old.flatMap((rule) => {
      const other = find(now, rule.name);
      const fields = other ? FIELDS.filter((field) => plain(rule[field]) !== plain(other[field])) : [];
      return other && fields.length ? [{ fields: [...fields], before: rule, after: other }] : [];
    }),
    reordered: both(old, now).join("\n") !== both(now, old).join("\n"),
  };
}

/** The same text for the same content, whatever the order of its fields, and whether what is empty is there. */
function plain(value: unknown): string {
  return JSON.stringify(value ?? {}, (_, inner: unknown) => {
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    const kept = Object.entries(inner).filter(
      ([, part]) => part !== undefined && !(Array.isArray(part) && part.length === 0),
    );
    return Object.fromEntries(kept.sort(([a], [b]) => a.localeCompare(b)));
  });
}
