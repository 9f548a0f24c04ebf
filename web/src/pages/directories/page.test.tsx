// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";
import { button, me, requests, see, show } from "../../app/page-testing";

const PATH = "/api/v1/directories";
const corp = {
  id: "d1",
  name: "Corp",
  kind: "ldap",
  enabled: true,
  ldap: { servers: ["ldaps://dc1", "ldaps://dc2"], user_base: "dc=x", authority: null, sign_in: true },
  openid: null,
  has_secret: true,
  redirect_uri: null,
  version: 3,
  created_at: "2026-03-01T09:30:00Z",
  changed_at: "2026-03-01T09:30:00Z",
  roles: 1,
  accounts: 2,
  problem: null,
};
const login = {
  ...corp,
  id: "d2",
  name: "Login",
  kind: "openid",
  ldap: null,
  openid: { issuer: "https://login.example", client_id: "playhead", authority: null },
  redirect_uri: "https://console/callback",
  roles: 0,
};
const signedIn = { "/api/v1/me": me() };

function type(field: Element | null, text: string): void {
  const input = field as HTMLInputElement;
  // React listens to what the element's own setter does.
  const set = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(input), "value")?.set;
  set?.call(input, text);
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

describe("directories", () => {
  it("tell the addresses that an OpenID provider has to know", async () => {
    await show("/directories", { ...signedIn, [PATH]: { items: [login] } });
    await see("tr");
    button("Edit Login").click();
    const dialog = await see("dialog");
    expect(dialog.textContent).toContain("https://console/callback");
    expect(dialog.textContent).toContain("https://console/d2/back-channel-logout");
  });

  it("are listed with what is wrong about them", async () => {
    const failing = { ...corp, id: "d3", name: "Far", problem: "cannot connect to dc1" };
    await show("/directories", { ...signedIn, [PATH]: { items: [corp, login, failing] } });
    const row = await see("tr[data-id=d1]");
    expect(row.textContent).toContain("ldaps://dc1, ldaps://dc2");
    expect(row.querySelector(".badge-good")?.textContent).toBe("In use");
    expect((await see("tr[data-id=d2]")).textContent).toContain("No roles yet");
    const bad = (await see("tr[data-id=d3]")).querySelector(".badge-bad");
    expect(bad?.getAttribute("title")).toBe("Cannot connect to dc1.");
    button("Delete Corp").click();
    expect((await see("dialog[open]")).textContent).toContain("the 2 accounts");
  });

  it("say what to do when there are none", async () => {
    await show("/directories", { ...signedIn, [PATH]: { items: [] } });
    expect((await see("[data-testid=empty]")).textContent).toContain("Connect LDAP");
    button("Connect LDAP").click();
    const dialog = await see("dialog[open]");
    expect(dialog.textContent).toContain("Active Directory, Samba");
    button("Connect", dialog).click();
    await vi.waitFor(() => expect(dialog.textContent).toContain("Enter a server."));
    expect(requests).not.toContain(`POST ${PATH}`);
  });

  it("are tried out step by step", async () => {
    const step = (name: string, verdict: string, detail: string) => ({ name, verdict, detail, millis: 1 });
    const tried = {
      works: false,
      steps: [
        step("connect", "ok", "Connected to dc1."),
        step("tls", "failed", "Wrong."),
        step("bind", "skipped", ""),
      ],
    };
    await show("/directories", { ...signedIn, [PATH]: { items: [corp] }, [`POST ${PATH}/test`]: tried });
    await see("tr[data-id=d1]");
    button("Test Corp").click();
    button("Test", await see("dialog[open]")).click();
    const steps = await see("[data-testid=steps]");
    expect(steps.textContent).toContain("It does not work yet");
    expect(steps.querySelectorAll("[data-verdict=failed]")).toHaveLength(1);
    expect(steps.textContent).toContain("Not tried");
  });

  it("give roles to those who are found, and take them away", async () => {
    const role = {
      id: "r1",
      kind: "group",
      subject: "u1",
      label: "Admins",
      role: "full",
      made_by: "admin",
      created_at: "2026-03-01T09:30:00Z",
    };
    const found = {
      kind: "group",
      name: "staff",
      label: "Staff",
      detail: null,
      dn: "cn=staff",
      subject: "u2",
      directory: { id: "d1", name: "Corp" },
      seen_at: null,
    };
    const elsewhere = { ...found, label: "Other", subject: "u3", directory: { id: "d9", name: "Far" } };
    await show("/directories", {
      ...signedIn,
      [PATH]: { items: [corp] },
      [`${PATH}/d1/roles`]: { items: [role] },
      [`${PATH}/search`]: { items: [found, elsewhere], more: false, problems: [], directories: 2 },
      [`POST ${PATH}/d1/roles`]: { ...role, id: "r2" },
      "DELETE /api/v1/directory-roles/r1": 204,
    });
    await see("tr[data-id=d1]");
    button("Roles in Corp").click();
    await see("tr[data-id=r1]");
    type(document.querySelector("[role=combobox]"), "sta");
    const option = await see("[role=option]");
    expect(document.querySelectorAll("[role=option]")).toHaveLength(1);
    option.click();
    await vi.waitFor(() => expect(button("Give role").disabled).toBe(false));
    button("Give role").click();
    await vi.waitFor(() => expect(requests).toContain(`POST ${PATH}/d1/roles`));
    button("Take the role of Admins away").click();
    await vi.waitFor(() => expect(requests).toContain("DELETE /api/v1/directory-roles/r1"));
  });

  it("are not asked for by those who may not see them", async () => {
    await show("/directories", { "/api/v1/me": me(["view-sites"]) });
    await see("[data-testid=no-permission]");
    expect(requests).not.toContain(PATH);
    expect(document.querySelector("a[href='/directories']")).toBeNull();
  });
});

describe("signing in by a directory", () => {
  const methods = {
    items: [
      { id: "d1", name: "Corp", kind: "ldap" },
      { id: "d2", name: "Login", kind: "openid" },
    ],
  };

  it("offers those there are", async () => {
    await show("/sign-in?to=/sites", { "/api/v1/sign-in/methods": methods });
    const choice = (await see("select")) as HTMLSelectElement;
    expect([...choice.options].map((option) => option.text)).toEqual(["Corp", "Local account"]);
    expect(choice.value).toBe("");
    const link = await see("a[href^='/api/v1/sign-in/openid/']");
    expect(link.getAttribute("href")).toBe("/api/v1/sign-in/openid/d2?to=%2Fsites");
    expect(link.textContent).toBe("Continue with Login");
  });

  it("says why a provider's guest was not let in", async () => {
    await show("/sign-in?problem=no-role&directory=Login&subject=1234", {
      "/api/v1/sign-in/methods": methods,
    });
    const alert = await see("[role=alert]");
    expect(alert.textContent).toContain("Login knows you, but neither you nor your groups were given a role");
    expect(alert.textContent).toContain("1234");
  });
});
