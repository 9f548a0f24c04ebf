// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";
import { button, me, requests, see, show } from "../../app/page-testing";

const PATH = "/api/v1/api-clients";
const client = {
  id: "c1",
  name: "nightly",
  permissions: ["view-sessions", "manage-sessions"],
  made_by: "admin",
  created_at: "2026-03-01T09:30:00.000000Z",
  expires_at: "2027-03-01T09:30:00.000000Z",
  expired: false,
  last_used_at: null,
};
const list = (items: unknown[]) => ({ items, customer_id: "abc", sites: [{ id: "s1", name: "Vienna" }] });
const who = { "/api/v1/me": me(["manage-api-clients", "view-sessions", "manage-sessions"]) };

describe("API clients", () => {
  it("are listed with what they may do, and revoked after a question", async () => {
    await show("/clients", { ...who, [PATH]: list([client]), [`DELETE ${PATH}/c1`]: 204 });
    const row = await see("tr[data-id=c1]");
    expect(row.textContent).toContain("Start and stop recording sessions");
    expect((await see(".client-ids")).textContent).toContain("abc");
    row.querySelector<HTMLElement>("button")?.click();
    expect((await see("dialog")).textContent).toContain("nightly");
    (await see("dialog button[type=submit]")).click();
    await vi.waitFor(() => expect(requests).toContain(`DELETE ${PATH}/c1`));
  });

  it("are made with no more than finding, starting and stopping unless more is chosen", async () => {
    const made = { client, secret: "ph_s3cret", token_url: "https://c/x", customer_id: "abc", sites: [] };
    await show("/clients", { ...who, [PATH]: list([]), [`POST ${PATH}`]: made });
    expect((await see("[data-testid=empty]")).textContent).toContain("No API client");
    button("Create API client").click();
    const dialog = await see("dialog");
    const checked = [...dialog.querySelectorAll<HTMLInputElement>("input[type=checkbox]")];
    expect(checked.map((box) => box.checked)).toEqual([false, true, true]);
    (await see("dialog button[type=submit]")).click();
    expect((await see("dialog .field-error")).textContent).toContain("name");
    expect(requests).not.toContain(`POST ${PATH}`);
    const name = dialog.querySelector<HTMLInputElement>("input[type=text], input:not([type])");
    const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value")?.set;
    set?.call(name, "nightly");
    name?.dispatchEvent(new Event("input", { bubbles: true }));
    await vi.waitFor(() => expect(document.querySelector("dialog .field-error")).toBeNull());
    (await see("dialog button[type=submit]")).click();
    expect((await see("[data-testid=client-made]")).textContent).toContain("ph_s3cret");
  });

  it("are not for everybody", async () => {
    await show("/clients", { "/api/v1/me": me(["view-sessions"]) });
    await see("[data-testid=no-permission]");
    expect(requests).not.toContain(PATH);
  });
});
