import type { components } from "../../api/schema";

type Schemas = components["schemas"];

export type PolicyList = Schemas["PolicyList"];
export type PolicySummary = Schemas["PolicySummary"];
export type PolicyDetail = Schemas["PolicyDetail"];
export type Policy = Schemas["Policy"];
export type Rule = Schemas["Rule"];
export type RuleAction = Schemas["RuleAction"];
export type RuleOptions = Schemas["RuleOptions"];
export type RuleScope = Schemas["RuleScope"];
export type RuleMask = Schemas["RuleMask"];
export type PolicyDiff = Schemas["PolicyDiff"];
export type PolicyQuestion = Schemas["PolicyQuestion"];
export type SessionFacts = Schemas["SessionFacts"];
export type Notice = Schemas["Notice"];
export type UserSession = Schemas["UserSession"];

/** Why an item of a rule's scope fits a session or not. */
export interface ItemVerdict {
  item: "people" | "applications" | "machines" | "addresses" | "tags";
  is: "not-asked" | "fits" | "differs" | "unknown";
  /** The entry that fits. */
  entry: string | null;
}
// The description has these two values as something that is both a text and an object, which nothing is.
export type RuleVerdict = Omit<Schemas["RuleVerdict"], "items"> & { items: ItemVerdict[] };
export type PolicyAnswer = Omit<Schemas["PolicyAnswer"], "rules"> & { rules: RuleVerdict[] };
