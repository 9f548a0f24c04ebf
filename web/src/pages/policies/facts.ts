import { isRange, readRange } from "./addresses";
import type { PolicyQuestion, SessionFacts } from "./types";

/** What the simulator is asked with, as the address holds it. */
export interface FactsSearch {
  /** A running session, in place of everything else. */
  session?: string;
  users?: string;
  groups?: string;
  application?: string;
  host?: string;
  delivery_groups?: string;
  address?: string;
  tags?: string;
}

const NAMES = ["users", "groups", "application", "host", "delivery_groups", "address", "tags"] as const;

/** What ids look like; anything else is a slip in the address. */
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function readFacts(search: Record<string, unknown>): FactsSearch {
  const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined);
  const session = text(search.session);
  const found: FactsSearch = { session: session && ID.test(session) ? session : undefined };
  for (const name of NAMES) found[name] = text(search[name]);
  return found;
}

/** Names as one text: with `|` between them, which is written `%7C` within one. */
export function joinNames(names: readonly string[]): string | undefined {
  return names.map((name) => name.replace(/[%|]/g, encodeURIComponent)).join("|") || undefined;
}

export function splitNames(text: string | undefined): string[] {
  return (text ?? "").split("|").flatMap((name) => {
    const plain = name.replace(/%7C/gi, "|").replace(/%25/g, "%");
    return plain ? [plain] : [];
  });
}

export type Asked =
  | { question: Pick<PolicyQuestion, "session" | "facts"> }
  /** The text is no address. */
  | { wrong: string }
  | undefined;

/** What the address asks; undefined while it says nothing. */
export function readAsked(search: FactsSearch): Asked {
  if (search.session) return { question: { session: search.session } };
  if (NAMES.every((name) => search[name] === undefined)) return undefined;
  const address = search.address?.trim();
  if (address && !isAddress(address)) return { wrong: address };
  const facts: SessionFacts = {
    users: splitNames(search.users),
    groups: splitNames(search.groups),
    application: search.application ?? "desktop",
    host: search.host ?? "",
    delivery_groups: splitNames(search.delivery_groups),
    address: address || null,
    tags: splitNames(search.tags),
  };
  return { question: { facts } };
}

function isAddress(text: string): boolean {
  return !/[-/]/.test(text) && isRange(readRange(text));
}
