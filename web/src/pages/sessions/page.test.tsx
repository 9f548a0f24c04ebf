// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";
import { type Answers, button, me, requests, see, show } from "../../app/page-testing";
import { session } from "./testing";

const ALL = ["view-sites", "view-sessions", "manage-sessions", "play-recordings", "view-policies"];
const stopped = {
  ...session,
  id: "u2",
  user: "dora",
  recording: { action: "disable", recording: null, decided: { by: "request", user: "ada" }, trouble: null },
};
const page = (items: unknown[]) => ({ items, next: null, problems: [] });
const console_: Answers = {
  "/api/v1/me": me(ALL),
  "/api/v1/sites": { items: [] },
  "/api/v1/sessions": page([session, stopped]),
  "/api/v1/sessions/u1": session,
};

describe("the sessions of users", () => {
  it("tell whether they are recorded and why, with a link to the picture", async () => {
    await show("/sessions", console_);
    const row = await see("tr[data-id=u1]");
    expect(row.textContent).toContain("Finance (Ours)");
    expect(row.querySelector(".badge-live")?.textContent).toBe("Recorded");
    expect(row.querySelector("a")?.getAttribute("href")).toBe("/recordings/r1");
    const other = await see("tr[data-id=u2]");
    expect(other.textContent).toContain("Not recorded");
    expect(other.textContent).toContain("By hand: ada");
    expect(requests.some((request) => request.includes("state=running"))).toBe(true);
  });

  it("tell of trouble, of hosts that are away, and of policies without a fitting rule", async () => {
    const decided = { by: "policy", revision: 4, policy: "Ours", rule: null };
    const none = { ...stopped, recording: { ...stopped.recording, decided } };
    const off = {
      ...none,
      id: "u3",
      recording: { ...none.recording, decided: { ...decided, policy: "Do not record" } },
    };
    const away = { ...session, id: "u4", reachable: false };
    const trouble = { ...session, id: "u5", recording: { ...session.recording, trouble: "no display" } };
    await show("/sessions", { ...console_, "/api/v1/sessions": page([none, off, away, trouble]) });
    expect((await see("tr[data-id=u2]")).textContent).toContain("No rule fits (Ours)");
    expect((await see("tr[data-id=u3]")).textContent).not.toContain("No rule fits");
    expect((await see("tr[data-id=u4]")).textContent).toContain("Host away");
    expect(button("Stop", await see("tr[data-id=u4]")).disabled).toBe(true);
    expect((await see("tr[data-id=u5] .badge-bad")).textContent).toBe("Trouble");
  });

  it("are stopped after a question, which stays open with the reason when the host refuses", async () => {
    const answers: Answers = { ...console_, "POST /api/v1/sessions/u1/stop-recording": 409 };
    await show("/sessions", answers);
    await see("tr[data-id=u1]");
    button("Stop recording CORP\\carl on ws-1").click();
    const dialog = await see("dialog");
    expect(requests.some((request) => request.startsWith("POST"))).toBe(false);
    button("Stop", dialog).click();
    expect((await see("dialog [role=alert]")).textContent).toContain("D.");
    answers["POST /api/v1/sessions/u1/stop-recording"] = stopped;
    button("Stop", dialog).click();
    await vi.waitFor(() => expect(document.querySelector("dialog")).toBeNull());
  });

  it("open by their address", async () => {
    await show("/sessions?session=u1", console_);
    const details = await see("[data-testid=session-details]");
    expect(details.textContent).toContain("carl, CORP\\carl");
    expect(details.textContent).toContain("PC1");
    const links = [...details.querySelectorAll("a")].map((link) => link.getAttribute("href"));
    expect(links).toContain("/policies/simulator?site=s1&session=u1");
  });

  it("offer no buttons to who may only look", async () => {
    await show("/sessions", { ...console_, "/api/v1/me": me(["view-sessions"]) });
    const row = await see("tr[data-id=u1]");
    expect(row.querySelector(".session-actions button, .session-actions a")).toBeNull();
  });

  it("say what to do while there are none", async () => {
    await show("/sessions", { ...console_, "/api/v1/sessions": page([]) });
    expect((await see("[data-testid=empty]")).textContent).toContain("No session is running");
  });

  it("say that the filters fit none", async () => {
    await show("/sessions?user=x", { ...console_, "/api/v1/sessions": page([]) });
    await vi.waitFor(() =>
      expect(document.querySelector("[data-testid=empty]")?.textContent).toContain("No session matches"),
    );
  });
});
