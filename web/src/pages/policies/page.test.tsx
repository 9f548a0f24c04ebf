// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";
import { type Answers, button, me, press, requests, router, see, show } from "../../app/page-testing";
import { session } from "../sessions/testing";

const ALL = ["view-sites", "view-policies", "manage-policies", "view-sessions", "manage-sessions"];
const SITE = "/api/v1/sites/s1";
const site = { id: "s1", name: "Vienna", description: "", servers: [], created_at: "2026-03-01T00:00:00Z" };

const system = (id: string, name: string, active = false) => ({
  id,
  kind: "system",
  name,
  description: `${name}.`,
  active,
  rules: 0,
  version: null,
  changed_at: null,
  changed_by: null,
});
const own = {
  ...system("p1", "Ours"),
  kind: "custom",
  rules: 2,
  version: 3,
  changed_at: "2026-03-01T09:30:00Z",
  changed_by: "bea",
};
const rule = (name: string, action: string, scope: object) => ({
  name,
  description: "",
  action,
  options: {},
  scope,
});
const detail = {
  ...own,
  rules: undefined,
  action: null,
  options: null,
  policy: {
    name: "Ours",
    description: "",
    rules: [
      rule("Finance", "record", { groups: ["Finance", "Audit"], hosts: ["ws-1"], addresses: ["10.0.0.0/8"] }),
      rule("Never", "disable", { groups: ["finance", "audit"] }),
    ],
  },
};
const list = {
  items: [system("do-not-record", "Do not record", true), system("record", "Record"), own],
  active: {
    id: "do-not-record",
    name: "Do not record",
    revision: 4,
    version: null,
    since: "2026-03-01T09:30:00Z",
    by: "ada",
  },
};
const SESSION = "01a2044a-48f7-7426-a4e0-08cbf1d401b7";
const running = {
  ...session,
  id: SESSION,
  user: "carl",
  users: ["carl"],
  groups: [],
  address: null,
  client: null,
};
const answer = {
  facts: {
    users: ["carl"],
    groups: [],
    application: "desktop",
    host: "ws-1",
    address: null,
    tags: [],
    delivery_groups: [],
  },
  policy: { id: "p1", name: "Ours" },
  action: "disable",
  options: {},
  rule: { index: 1, name: "Never" },
  rules: [
    {
      index: 0,
      name: "Finance",
      action: "record",
      fits: false,
      decides: false,
      items: [
        { item: "people", is: "differs", entry: null },
        { item: "addresses", is: "unknown", entry: null },
        { item: "tags", is: "not-asked", entry: null },
      ],
    },
    {
      index: 1,
      name: "Never",
      action: "disable",
      fits: true,
      decides: true,
      items: [{ item: "people", is: "fits", entry: "Finance" }],
    },
  ],
};
const page = (items: unknown[]) => ({ items, next: null, problems: [] });
const console_: Answers = {
  "/api/v1/me": me(ALL),
  "/api/v1/sites": { items: [site] },
  "/api/v1/sessions": page([running]),
  "/api/v1/session-hosts": page([]),
  [`${SITE}/policies`]: list,
  [`${SITE}/policies/p1`]: detail,
  [`POST ${SITE}/policy-simulation`]: answer,
};

const text = () => document.body.textContent ?? "";

describe("the list of policies", () => {
  it("says which one is active, since when and by whom, and keeps the system's apart", async () => {
    await show("/policies", console_);
    const active = await see("[data-testid=active-policy]");
    expect(active.textContent).toContain("Active at Vienna: Do not record");
    expect(active.textContent).toContain("by ada");
    const mine = await see("tr[data-id=p1]");
    expect(mine.textContent).toContain("by bea");
    expect(button("Delete Ours").disabled).toBe(false);
    // A system policy can be copied, not deleted.
    expect((await see("tr[data-id=record] .actions")).textContent).toBe("Duplicate");
    expect((await see("tr[data-id=do-not-record] button[role=switch]")).getAttribute("aria-checked")).toBe(
      "true",
    );
  });

  it("asks before another becomes active, and says what it means for sessions that run", async () => {
    await show("/policies", { ...console_, [`POST ${SITE}/policies/p1/activate`]: { active: list.active } });
    (await see("tr[data-id=p1] button[role=switch]")).click();
    expect((await see("[data-fate=stops]")).textContent).toContain("carl (ws-1)");
    expect(requests.filter((request) => request.endsWith("/activate"))).toEqual([]);
    button("Activate", await see("dialog")).click();
    await vi.waitFor(() => expect(requests).toContain(`POST ${SITE}/policies/p1/activate`));
  });

  it("gives the focus back to the toggle when nothing was done", async () => {
    await show("/policies", console_);
    const toggle = await see("tr[data-id=p1] button[role=switch]");
    toggle.focus();
    toggle.click();
    const cancel = button("Cancel", await see("dialog"));
    await vi.waitFor(() => expect(document.activeElement).toBe(cancel));
    cancel.click();
    await vi.waitFor(() => expect(document.activeElement).toBe(toggle));
  });

  it("leads who may only look to no button", async () => {
    await show("/policies", { ...console_, "/api/v1/me": me(["view-sites", "view-policies"]) });
    await see("tr[data-id=p1]");
    expect(document.querySelector("[role=switch], .policy-actions")).toBeNull();
    expect(text()).not.toContain("New policy");
  });

  it("tells what to do without a policy of one's own", async () => {
    await show("/policies", {
      ...console_,
      [`${SITE}/policies`]: { ...list, items: list.items.slice(0, 2) },
    });
    expect((await see("[data-testid=empty]")).textContent).toContain("No policy of your own yet");
  });

  it("is not for everybody", async () => {
    await show("/policies", { ...console_, "/api/v1/me": me(["view-sites"]) });
    await see("[data-testid=no-permission]");
  });
});

describe("a policy", () => {
  it("shows its rules as they will decide, in words, with what may not be meant", async () => {
    await show("/policies/p1?site=s1", console_);
    await see("li[data-rule=Never]");
    const rules = [...document.querySelectorAll("li.rule")].map((each) => each.textContent ?? "");
    expect(rules[0]).toContain("Never");
    expect(rules[1]).toContain("members of Finance or Audit and on host ws-1 and from 10.0.0.0/8");
    expect(rules[1]).toContain("Never decides: “Never” comes before it");
    expect(rules[2]).toContain("All other sessions are not recorded.");
    expect(button("Save").disabled).toBe(true);
  });

  it("takes a new rule with the focus in its name, and does not save one for nobody", async () => {
    await show("/policies/p1?site=s1", console_);
    await see("li[data-rule=Never]");
    button("Add rule").click();
    const name = await see("[data-rule-name]");
    await vi.waitFor(() => expect(document.activeElement).toBe(name));
    button("Save").click();
    await vi.waitFor(() => expect(text()).toContain("a rule without any is for nobody"));
    expect(requests.some((request) => request.startsWith("PUT"))).toBe(false);
  });

  it("shows what somebody else changed meanwhile, and lets one choose", async () => {
    const answers: Answers = {
      ...console_,
      [`PUT ${SITE}/policies/p1`]: 409,
      [`${SITE}/policies/p1/diff`]: {
        from: 3,
        to: 4,
        name: null,
        description: null,
        added: [rule("Guests", "record-with-notice", { tags: ["guest"] })],
        removed: [],
        changed: [],
        reordered: false,
      },
    };
    await show("/policies/p1?site=s1", answers);
    await see("li[data-rule=Never]");
    button("Remove the rule Never").click();
    await vi.waitFor(() => expect(button("Save").disabled).toBe(false));
    answers[`${SITE}/policies/p1`] = { ...detail, version: 4, changed_by: "carl" };
    button("Save").click();
    const conflict = await see("[data-testid=conflict] [data-diff=added]");
    expect(conflict.textContent).toContain("Guests");
    expect(text()).toContain("carl saved version 4 of this policy while you changed version 3.");
    expect((await see("[data-testid=conflict] [data-diff=removed]")).textContent).toContain("Never");
    button("Take theirs").click();
    await vi.waitFor(() => expect(text()).toContain("version 4"));
    expect(button("Save").disabled).toBe(true);
  });

  it("asks before changes are left behind", async () => {
    await show("/policies/p1?site=s1", console_);
    await see("li[data-rule=Never]");
    button("Remove the rule Never").click();
    await vi.waitFor(() => expect(button("Save").disabled).toBe(false));
    (await see("a.policy-back")).click();
    expect((await see("dialog")).textContent).toContain("Leave without saving?");
    expect(router.state.location.pathname).toBe("/policies/p1");
    button("Leave", await see("dialog")).click();
    await vi.waitFor(() => expect(router.state.location.pathname).toBe("/policies"));
  });

  it("is one of the system's: only looked at", async () => {
    const record = {
      ...system("record", "Record"),
      policy: null,
      action: "record",
      options: { audio: true },
    };
    await show("/policies/record?site=s1", { ...console_, [`${SITE}/policies/record`]: record });
    await vi.waitFor(() => expect(text()).toContain("A system policy cannot be changed."));
    expect(text()).toContain("with sound");
    expect(() => button("Save")).toThrow();
    expect(button("Duplicate Record").disabled).toBe(false);
  });

  it("says which of a rule's groups nobody knows", async () => {
    const principal = { kind: "group", label: "Finance", detail: null, directory: { id: "d", name: "Corp" } };
    const found = { items: [{ ...principal, name: "Finance", seen_at: null }], more: false, problems: [] };
    const answers: Answers = {
      ...console_,
      "/api/v1/me": me([...ALL, "search-directories"]),
      "/api/v1/directories/search": { ...found, directories: 1 },
    };
    await show("/policies/p1?site=s1", answers);
    await see("li[data-rule=Finance]");
    button("Edit the rule Finance").click();
    await vi.waitFor(() => expect(text()).toContain("seen in no session: “Audit”."));
    expect(requests).toContain("/api/v1/directories/search?q=Audit&kind=group&limit=20");
  });

  it("says nothing of groups while a directory is away", async () => {
    const away = { directory: { id: "d", name: "Corp" }, detail: "away", stale: true };
    const answers: Answers = {
      ...console_,
      "/api/v1/me": me([...ALL, "search-directories"]),
      "/api/v1/directories/search": { items: [], more: false, problems: [away], directories: 1 },
    };
    await show("/policies/p1?site=s1", answers);
    await see("li[data-rule=Finance]");
    button("Edit the rule Finance").click();
    await vi.waitFor(() =>
      expect(requests.filter((request) => request.includes("directories/search"))).toHaveLength(2),
    );
    await see("[data-testid=rule-words]");
    expect(text()).not.toContain("seen in no session");
  });

  it("has rules for every session, which keep their entries while somebody tries", async () => {
    const answers = { ...console_, [`PUT ${SITE}/policies/p1`]: { ...detail, version: 4 } };
    await show("/policies/p1?site=s1", answers);
    await see("li[data-rule=Finance]");
    button("Edit the rule Finance").click();
    const words = await see("[data-testid=rule-words]");
    const choice = (value: string) => see(`input[type=radio][value=${value}]`);
    (await choice("everyone")).click();
    await vi.waitFor(() => expect(words.textContent).toBe("Record without telling: every session."));
    expect(document.querySelector("[data-list=users]")).toBeNull();
    (await choice("these")).click();
    await vi.waitFor(() => expect(words.textContent).toContain("members of Finance or Audit"));
    expect(button("Save").disabled).toBe(true);
  });
});

describe("the simulator", () => {
  it("answers what the address asks, and why", async () => {
    await show("/policies/simulator?users=carl&address=10.1.2.3&policy=p1", console_);
    expect((await see("[data-testid=answer]")).textContent).toContain("Rule 1, “Never”, decides.");
    const finance = await see("[data-rule=Finance]");
    expect(finance.textContent).toContain("Users and groups: none fits");
    expect(finance.textContent).toContain("not known of this session");
    expect(finance.textContent).not.toContain("Access tags");
  });

  it("takes a running session", async () => {
    await show(`/policies/simulator?session=${SESSION}`, console_);
    await see("[data-rule=Never][data-state=decides]");
    expect((await see(".facts-form select")).textContent).toContain("carl on ws-1");
    expect(document.querySelector("[data-list=users]")).toBeNull();
  });

  it("does not ask with what is no address", async () => {
    await show("/policies/simulator?users=carl&address=10.0.0", console_);
    await vi.waitFor(() => expect(text()).toContain("No address such as"));
    expect(requests.some((request) => request.startsWith("POST"))).toBe(false);
  });
});

describe("versions, history and notices", () => {
  it("shows what differs between two versions", async () => {
    const version = (number: number) => ({
      version: number,
      name: "Ours",
      rules: number,
      changed_at: "2026-03-01T09:30:00Z",
      changed_by: "bea",
    });
    const before = rule("Finance", "record", { hosts: ["ws-1"] });
    await show("/policies/p1?site=s1&tab=versions&from=1&to=3", {
      ...console_,
      [`${SITE}/policies/p1/versions`]: { items: [version(3), version(2), version(1)] },
      [`${SITE}/policies/p1/diff`]: {
        from: 1,
        to: 3,
        name: ["Old", "Ours"],
        description: null,
        added: [],
        removed: [],
        changed: [{ fields: ["action"], before, after: { ...before, action: "disable" } }],
        reordered: true,
      },
    });
    const diff = await see("[data-testid=diff]");
    expect(diff.textContent).toContain("Old");
    expect(diff.textContent).toContain("Record without telling");
    expect(diff.textContent).toContain("another order");
    expect(requests).toContain(`${SITE}/policies/p1/diff?from=1&to=3`);
    expect(button("Restore version 1")).toBeTruthy();
  });

  it("shows notices as users see them, and does not save half of one", async () => {
    await show("/policies/notices", { ...console_, [`${SITE}/notices`]: { items: [] } });
    expect((await see("[data-testid=empty]")).textContent).toContain("This session is recorded");
    button("Add language").click();
    await see("[data-language=en]");
    button("Add language").click();
    await see("[data-language='']");
    button("Save").click();
    await vi.waitFor(() => expect(text()).toContain("A tag such as de or pt-BR."));
    expect(requests.some((request) => request.startsWith("PUT"))).toBe(false);
    press("Escape");
  });
});
