import { describe, expect, it } from "vitest";
import {
  type DraftRule,
  faults,
  hints,
  inOrder,
  moved,
  newRule,
  noScope,
  type Scope,
  toDraft,
  toPolicy,
} from "./draft";
import type { RuleAction } from "./types";

const rule = (name: string, action: RuleAction, scope: Partial<Scope>): DraftRule => ({
  ...newRule(name),
  action,
  scope: { ...noScope(), ...scope },
});

describe("rules", () => {
  it("stand in the order in which they decide", () => {
    const rules = [
      rule("a", "events", { users: ["x"] }),
      rule("b", "record", { users: ["x"] }),
      rule("c", "disable", { users: ["x"] }),
      rule("d", "record", { users: ["x"] }),
    ];
    expect(inOrder(rules).map((entry) => entry.rule.name)).toEqual(["c", "b", "d", "a"]);
  });

  it("change places with the next of the same action alone", () => {
    const rules = [rule("a", "record", {}), rule("b", "disable", {}), rule("c", "record", {})];
    const names = (all: DraftRule[]) => all.map((each) => each.name).join("");
    const [a, b, c] = rules.map((each) => each.key);
    expect(names(moved(rules, a ?? "", 1))).toBe("cba");
    expect(names(moved(rules, c ?? "", -1))).toBe("cba");
    expect(names(moved(rules, b ?? "", 1))).toBe("abc");
    expect(names(moved(rules, c ?? "", 1))).toBe("abc");
  });

  it("are sent without what is empty or of no use", () => {
    const draft = toDraft({ name: " Ours ", rules: [] });
    const events = rule(" E ", "events", { hosts: ["ws-1"] });
    events.options = { consent: true, audio: true, masks: [{ class: "x" }] };
    const told = {
      ...rule("T", "record-with-notice", { tags: ["t"] }),
      options: { consent: true, audio: false },
    };
    expect(toPolicy({ ...draft, rules: [events, told] })).toEqual({
      name: "Ours",
      description: "",
      rules: [
        { name: "E", description: "", action: "events", options: {}, scope: { hosts: ["ws-1"] } },
        {
          name: "T",
          description: "",
          action: "record-with-notice",
          options: { consent: true },
          scope: { tags: ["t"] },
        },
      ],
    });
  });

  it("tell what keeps them from being saved", () => {
    const good = rule("Good", "record", { users: ["ada"] });
    expect(faults(good, [good])).toEqual([]);
    expect(faults(rule(" ", "record", {}), [])).toEqual(["name", "scope"]);
    expect(faults(good, [good, rule("good ", "events", { tags: ["x"] })])).toEqual(["twice"]);
    expect(faults(rule("a", "record", { addresses: ["10.0.0.1/8"] }), [])).toEqual(["address"]);
    expect(faults({ ...good, options: { masks: [{ colour: "grey" }] } }, [])).toEqual(["mask"]);
    expect(faults({ ...good, name: "x".repeat(101) }, [])).toEqual(["nameLong"]);
    const users = Array.from({ length: 1001 }, (_, at) => `user${at}`);
    expect(faults(rule("many", "record", { users }), [])).toEqual(["many"]);
    expect(faults(rule("long", "record", { tags: ["é".repeat(129)] }), [])).toEqual(["long"]);
    // What a rule for everyone had before counts for nothing.
    expect(faults(rule("all", "record", { everyone: true, addresses: ["x"] }), [])).toEqual([]);
  });
});

describe("rules for everyone", () => {
  const all = rule("All", "record", { everyone: true, users: ["ada"] });

  it("are sent without entries, and read back", () => {
    const sent = toPolicy({ name: "P", description: "", rules: [all] });
    expect(sent.rules?.[0]?.scope).toEqual({ everyone: true });
    expect(toPolicy(toDraft(sent))).toEqual(sent);
  });

  it("cover those behind them and are covered by no entries", () => {
    const some = rule("some", "record", { users: ["ada"] });
    expect(hints([all, some])).toEqual([{ kind: "covered", rule: 1, by: 0 }]);
    expect(hints([some, all])).toEqual([]);
    expect(hints([rule("none yet", "disable", {}), all])).toEqual([]);
    expect(hints([rule("never", "disable", { users: ["ada"] }), all])).toEqual([]);
  });
});

describe("hints", () => {
  const said = (rules: DraftRule[]) => hints(rules).map((hint) => `${hint.kind} ${hint.rule} ${hint.by}`);

  it("name rules that never decide", () => {
    const all = rule("all", "record-with-notice", { groups: ["Staff", "Guests"] });
    const some = rule("some", "record", { groups: ["STAFF"], hosts: ["ws-1"] });
    expect(said([some, all])).toEqual(["covered 0 1"]);
    // Users are not members, and a wider scope is not covered by a narrower one.
    expect(said([rule("u", "record", { users: ["Staff"] }), all])).toEqual([]);
    expect(
      said([
        rule("n", "record-with-notice", { groups: ["Staff"], hosts: ["h"] }),
        rule("w", "record", { groups: ["Staff"] }),
      ]),
    ).toEqual([]);
    expect(
      said([
        rule("wide", "record", { addresses: ["10.0.0.0/8"] }),
        rule("narrow", "record", { addresses: ["10.1.0.0/16", "10.2.0.1-10.2.0.9"] }),
      ]),
    ).toEqual(["covered 1 0"]);
  });

  it("name rules that a rule against recording takes sessions from", () => {
    const never = rule("never", "disable", { groups: ["Executive"] });
    expect(said([rule("r", "record", { groups: ["Finance", "executive"] }), never])).toEqual([
      "contradicts 0 1",
    ]);
    expect(said([rule("r", "record", { groups: ["Finance"] }), never])).toEqual([]);
    // Nothing that both ask for: that somebody fits both is chance, not contradiction.
    expect(said([rule("r", "record", { hosts: ["ws-1"] }), never])).toEqual([]);
    const apart = rule("n", "disable", { users: ["ada"], hosts: ["a"] });
    expect(said([rule("r", "record", { users: ["ada"], hosts: ["b"] }), apart])).toEqual([]);
  });
});
