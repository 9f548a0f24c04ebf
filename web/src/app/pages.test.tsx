// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";
import type { Recording } from "../api/types";
import { type Answers, button, me, press, requests, router, see, show } from "./page-testing";

const recording: Recording = {
  id: "r1",
  site: { id: "s1", name: "Vienna" },
  host: "ws-1",
  user: "CORP\\ada",
  display: ":1",
  client: null,
  client_address: null,
  application: "desktop",
  state: "live",
  started_at: "2026-03-01T09:30:00.000000Z",
  ended_at: null,
  duration_us: 65_000_000,
  bytes: 2048,
  segments: 1,
  width: 1920,
  height: 1080,
  gaps: 0,
  events: 0,
  agent_version: "0.1.0",
  end_reason: null,
  problem: null,
  quarantine: null,
  encrypted: false,
  shredded: null,
  session: null,
};

const page = (items: Recording[], extra = {}) => ({
  items,
  next: null,
  total: { value: items.length, exact: true },
  problems: [],
  ...extra,
});

const LIST = "/api/v1/recordings";
const signedIn = { "/api/v1/me": me(), "/api/v1/sites": { items: [] } };

describe("the list of recordings", () => {
  it("shows recordings, with a link to the player and the user's name without domain", async () => {
    await show("/recordings?user=ad&sort=-bytes", { ...signedIn, [LIST]: page([recording]) });
    const row = await see("tr[data-id=r1]");
    expect(row.textContent).toContain("ada");
    expect(row.textContent).not.toContain("CORP");
    expect(row.textContent).toContain("1 m 05 s");
    expect(row.textContent).toContain("2.0 KiB");
    expect(row.querySelector("a")?.getAttribute("href")).toBe("/recordings/r1");
    expect(row.querySelector(".badge-live")?.textContent).toBe("Live");
    expect(requests).toContain("/api/v1/recordings?user=ad&sort=-bytes&limit=50");
    expect((await see("th[aria-sort=descending]")).textContent).toContain("Size");
  });

  it("tells by icons what a recording has besides exact pictures, in a column to choose", async () => {
    localStorage.setItem("playhead.columns", JSON.stringify(["user", "holds"]));
    const mask = { first_us: 5, class: "keepassxc", process: null, title: null, colour: "black" };
    const held = { ...recording, sound: true, video: false, masks: [mask] };
    const bare = { ...recording, id: "r2" };
    await show("/recordings", { ...signedIn, [LIST]: page([held, bare]) });
    const row = await see("tr[data-id=r1]");
    localStorage.removeItem("playhead.columns");
    const labels = [...row.querySelectorAll(".holds [aria-label]")].map((icon) =>
      icon.getAttribute("aria-label"),
    );
    expect(labels).toEqual(["Has sound", "Applications are hidden"]);
    expect((await see("tr[data-id=r2]")).querySelector(".holds")).toBeNull();
  });

  it("says of which recordings there is no picture, only events", async () => {
    localStorage.setItem("playhead.columns", JSON.stringify(["state", "resolution"]));
    const session = { events_only: true };
    const items = [
      { ...recording, session, width: 16, height: 16 },
      { ...recording, id: "r2", width: 16, height: 16 },
    ];
    await show("/recordings", { ...signedIn, [LIST]: page(items as never) });
    const row = await see("tr[data-id=r1]");
    localStorage.removeItem("playhead.columns");
    expect(row.querySelector("[data-testid=events-only]")?.textContent).toBe("Events only");
    expect(row.textContent).not.toContain("16 × 16");
    const other = await see("tr[data-id=r2]");
    expect(other.querySelector("[data-testid=events-only]")).toBeNull();
    expect(other.textContent).toContain("16 × 16");
  });

  it("says what it is waiting for", async () => {
    let answer: (value: unknown) => void = () => undefined;
    const late = new Promise((resolve) => {
      answer = resolve;
    });
    await show("/recordings", { ...signedIn, [LIST]: late });
    await see("[data-testid=loading]");
    answer(undefined);
  });

  it("tells what to do when there is nothing yet", async () => {
    await show("/recordings", { ...signedIn, [LIST]: page([]) });
    const empty = await see("[data-testid=empty]");
    expect(empty.textContent).toContain("playhead demo");
    expect(empty.querySelector("a")?.getAttribute("href")).toBe("/session-hosts?add=1");
  });

  it("does not ask with what makes no sense in the address", async () => {
    const address = "/recordings?from=zz&size=7&sort=evil&state=gone&user=ad";
    await show(address, { ...signedIn, [LIST]: page([recording]) });
    await see("tr[data-id=r1]");
    expect(requests).toContain("/api/v1/recordings?user=ad&sort=-started_at&limit=50");
  });

  it("offers to clear filters that nothing matches", async () => {
    await show("/recordings?host=nowhere", { ...signedIn, [LIST]: page([]) });
    const empty = await see("[data-testid=empty]");
    expect(empty.textContent).toContain("No recording matches");
  });

  it("shows the rest when a site did not answer", async () => {
    const problems = [{ site: "Graz", title: "late", detail: "Graz did not answer." }];
    await show("/recordings", { ...signedIn, [LIST]: page([recording], { problems }) });
    expect((await see("[data-testid=partial]")).textContent).toContain("Graz did not answer.");
    await see("tr[data-id=r1]");
  });

  it("says what went wrong, with an id and another try", async () => {
    await show("/recordings", { ...signedIn, [LIST]: 500 });
    const error = await see("[data-testid=error]");
    expect(error.textContent).toContain("e-42");
    expect(error.querySelector("button")?.textContent).toBe("Try again");
  });

  it("says that a permission is missing", async () => {
    await show("/recordings", { ...signedIn, [LIST]: 403 });
    expect((await see("[data-testid=no-permission]")).querySelector("button.ant-btn-primary")).toBeNull();
  });
});

describe("who may go where", () => {
  it("asks for sign-in and remembers where to go", async () => {
    await show("/recordings?user=ada", { "/api/v1/me": 401 });
    await see("input[autocomplete=current-password]");
    expect(router.state.location.search.to).toBe("/recordings?user=ada");
  });

  it("goes nowhere before a made-up password is changed", async () => {
    await show("/recordings", { "/api/v1/me": me(undefined, true) });
    await see("input[autocomplete=new-password]");
    expect(router.state.location.pathname).toBe("/password");
    expect(requests.some((request) => request.startsWith(LIST))).toBe(false);
  });

  it("leaves out of the navigation what a role may not see", async () => {
    await show("/", { "/api/v1/me": me(["view-sites"]), "/api/v1/sites": { items: [] } });
    await see("a[href='/sites']");
    expect(document.querySelector("a[href='/recordings']")).toBeNull();
    expect(router.state.location.pathname).toBe("/sites");
    expect((await see("[data-testid=empty]")).textContent).toContain("No sites yet");
  });

  it("does not play without the permission", async () => {
    await show("/recordings/r1", { "/api/v1/me": me(["list-recordings"]), [`${LIST}/r1`]: recording });
    await see("[data-testid=no-permission]");
  });

  it("says that a recording does not exist", async () => {
    await show("/recordings/r9", signedIn);
    expect((await see("[data-testid=error]")).textContent).toContain("Not found");
  });
});

describe("sites and session hosts", () => {
  it("have their own error and permission states", async () => {
    await show("/sites", { "/api/v1/me": me(), "/api/v1/sites": 500 });
    await see("[data-testid=error]");
  });

  it("lists hosts", async () => {
    const host = {
      id: "h1",
      host: "ws-1",
      site: { id: "s1", name: "Vienna" },
      state: "active",
      version: "0.1.0",
      enrolled_at: "2026-03-01T09:30:00Z",
      last_seen: null,
      live_recordings: 2,
      queue: {
        at: "2026-03-01T09:30:00Z",
        state: "full",
        when_full: "pause",
        waiting_bytes: 2048,
        waiting_fragments: 3,
        oldest_seconds: 65,
        quota_bytes: 4096,
        free_bytes: 1024,
        least_free_bytes: 512,
        gaps: 1,
        last_gap: "queue-full",
        refused: 0,
        refused_bytes: 0,
        lost_recordings: 0,
        error: null,
      },
      policy: { revision: 4, error: null },
    };
    const old = { ...host, id: "h2", host: "ws-2", policy: { revision: 3, error: null } };
    await show("/session-hosts", {
      ...signedIn,
      "/api/v1/me": me(["view-sites", "view-policies"]),
      "/api/v1/session-hosts": { items: [host, old], problems: [] },
      "/api/v1/sites/s1/policies": { items: [], active: { id: "p1", name: "Ours", revision: 4 } },
    });
    expect((await see("tr[data-id=h1] a[href='/policies/p1?site=s1']")).textContent).toBe("Ours");
    expect((await see("tr[data-id=h2]")).textContent).toContain("an older one (revision 3)");
    // Nothing leads where this person may not go.
    expect(document.querySelector("td a[href^='/recordings'], td a[href^='/sessions']")).toBeNull();
    expect((await see("tr[data-id=h1]")).textContent).toContain("Active");
    button("Queue of ws-1: Full").click();
    const dialog = await see("dialog[open]");
    expect(dialog.textContent).toContain("recording pauses until there is room");
    expect(dialog.textContent).toContain("2.0 KiB in 3 fragments, the oldest 1 m 05 s old");
  });
});

const server = (state: "available" | "offline") => ({
  id: `server-${state}`,
  name: `rec-${state}`,
  state,
  version: "0.1.0",
  connected_at: state === "available" ? "2026-03-01T09:30:00Z" : null,
  last_seen: "2026-03-01T09:30:00Z",
});
const siteOf = (...servers: ReturnType<typeof server>[]) => ({
  id: "s1",
  name: "Vienna",
  description: "by the river",
  created_at: "2026-03-01T09:30:00Z",
  servers,
});

describe("managing sites", () => {
  it("removes a server that is away, and never one that is connected", async () => {
    const answers: Answers = {
      ...signedIn,
      "/api/v1/sites": { items: [siteOf(server("available"), server("offline"))] },
      "DELETE /api/v1/servers/server-offline": 204,
    };
    await show("/sites", answers);
    await see("tr[data-id=server-available]");
    expect(button("Remove the server rec-available").disabled).toBe(true);
    expect(button("Delete").disabled).toBe(true);
    button("Remove the server rec-offline").click();
    const dialog = await see("dialog[open]");
    expect(dialog.textContent).toContain("rec-offline");
    expect(document.activeElement?.textContent).toBe("Cancel");
    button("Remove", dialog).click();
    await vi.waitFor(() => expect(requests).toContain("DELETE /api/v1/servers/server-offline"));
    await vi.waitFor(() => expect(document.querySelector("dialog")).toBeNull());
  });

  it("shows where recordings are kept, what is wrong there, and closes or drains a location", async () => {
    const location = (id: string, state: string) => ({
      id,
      url: `s3://${id}`,
      kind: "s3",
      state,
      segments: 3,
      bytes: 2048,
      free_bytes: null,
      total_bytes: null,
      object_lock: null,
      last_error:
        state === "unreachable" ? { at: "2026-03-01T09:30:00Z", text: "no route to the bucket" } : null,
    });
    const path = "/api/v1/sites/s1/storage";
    const answers: Answers = {
      ...signedIn,
      "/api/v1/sites": { items: [siteOf(server("available"))] },
      [path]: {
        locations: [location("a", "active"), location("b", "unreachable")],
        moves: [],
        waiting_removals: 0,
        tending: {
          repacking: "dense",
          scrub_days: 30,
          segments: 24,
          repacked: 20,
          saved_bytes: 7_000_000,
          scrubbed: 4,
          oldest_scrub: "2026-03-01T09:30:00Z",
          damaged_segments: 1,
          damaged: [
            {
              recording: "01a2029b-8ff4-72ad-b20a-67dabef7e41d",
              segment: 3,
              location: "a",
              path: "x/000003.mcap",
              damage: "expected 9 bytes, got 8",
              at: "2026-03-01T09:30:00Z",
            },
          ],
        },
      },
      [`PATCH ${path}/a`]: { locations: [], moves: [], waiting_removals: 0, tending: { segments: 0 } },
      [`POST ${path}/b/drain`]: 204,
    };
    await show("/sites", answers);
    const first = await see("tr[data-id=a]");
    expect((await see("tr[data-id=b]")).textContent).toContain("No route to the bucket.");
    const tending = await see("[data-testid=tending]");
    expect(tending.textContent).toContain("20 of 24 files packed denser");
    expect(tending.querySelector("[role=alert]")?.textContent).toContain("Segment 3 of recording 01a2029b");
    button("Close", first).click();
    await vi.waitFor(() => expect(requests).toContain(`PATCH ${path}/a`));
    button("Drain", await see("tr[data-id=b]")).click();
    const dialog = await see("dialog[open]");
    expect(dialog.textContent).toContain("3 files (2.0 KiB)");
    button("Drain", dialog).click();
    await vi.waitFor(() => expect(requests).toContain(`POST ${path}/b/drain`));
  });

  it("stays with the reason when a deletion is refused", async () => {
    const answers = { ...signedIn, "/api/v1/sites": { items: [siteOf()] }, "DELETE /api/v1/sites/s1": 409 };
    await show("/sites", answers);
    await see("[data-testid=site]");
    button("Delete").click();
    button("Delete", await see("dialog[open]")).click();
    expect((await see("dialog [role=alert]")).textContent).toContain("D.");
  });

  it("offers nothing to those who may only look", async () => {
    const answers = {
      "/api/v1/me": me(["view-sites"]),
      "/api/v1/sites": { items: [siteOf(server("offline"))] },
    };
    await show("/sites", answers);
    const card = await see("[data-testid=site]");
    expect(card.textContent).toContain("by the river");
    expect(card.querySelector("button")).toBeNull();
    expect(document.querySelector("a[href='/join-tokens']")).toBeNull();
  });
});

describe("join tokens", () => {
  const token = {
    id: "t1",
    kind: "agent",
    site: { id: "s1", name: "Vienna" },
    uses_left: 9,
    made_by: "admin",
    created_at: "2026-03-01T09:30:00Z",
    expires_at: "2026-03-02T09:30:00Z",
  };

  it("are listed and revoked", async () => {
    const answers = {
      ...signedIn,
      "/api/v1/join-tokens": { items: [token], problems: [] },
      "DELETE /api/v1/join-tokens/t1": 204,
    };
    await show("/join-tokens", answers);
    expect((await see("tr[data-id=t1]")).textContent).toContain("Session host");
    button("Revoke the token for Session host made by admin").click();
    button("Revoke", await see("dialog[open]")).click();
    await vi.waitFor(() => expect(requests).toContain("DELETE /api/v1/join-tokens/t1"));
  });

  it("say what to do when there are none", async () => {
    await show("/join-tokens", { ...signedIn, "/api/v1/join-tokens": { items: [], problems: [] } });
    expect((await see("[data-testid=empty]")).textContent).toContain("Add session host");
  });

  it("are not asked for by those who may not see them", async () => {
    await show("/join-tokens", { "/api/v1/me": me(["view-sites"]) });
    await see("[data-testid=no-permission]");
    expect(requests).not.toContain("/api/v1/join-tokens");
  });
});

describe("one's account", () => {
  const session = (id: string, current: boolean) => ({
    id,
    current,
    browser: "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0",
    address: "10.0.0.1",
    created_at: "2026-03-01T09:30:00Z",
    last_seen: "2026-03-01T09:30:00Z",
    ends_at: "2026-03-02T09:30:00Z",
  });

  it("shows sessions, ends others, and signs out everywhere", async () => {
    const answers: Answers = {
      ...signedIn,
      "/api/v1/me/sessions": { items: [session("mine", true), session("other", false)] },
      "DELETE /api/v1/me/sessions/other": 204,
      "DELETE /api/v1/me/sessions": 204,
    };
    await show("/account", answers);
    expect((await see("tr[data-id=mine]")).textContent).toContain("This session");
    expect(document.body.textContent).toContain("Full administrator");
    button("End the session of Firefox 153 on Linux from 10.0.0.1").click();
    await vi.waitFor(() => expect(requests).toContain("DELETE /api/v1/me/sessions/other"));
    button("Sign out everywhere").click();
    const dialog = await see("dialog[open]");
    expect(dialog.textContent).toContain("All 2 sessions end");
    button("Sign out everywhere", dialog).click();
    await see("input[autocomplete=current-password]");
  });
});

describe("the keyboard in lists", () => {
  it("goes to the filters and from row to row", async () => {
    const second = { ...recording, id: "r2" };
    await show("/recordings", { ...signedIn, [LIST]: page([recording, second]) });
    await see("tr[data-id=r2]");
    const row = () => document.activeElement?.closest("tr")?.dataset.id;
    press("j");
    expect(row()).toBe("r1");
    press("ArrowDown");
    expect(row()).toBe("r2");
    press("j");
    expect(row()).toBe("r2");
    press("k");
    expect(row()).toBe("r1");
    press("/");
    expect(document.activeElement?.getAttribute("placeholder")).toBe("User");
    press("j");
    expect(document.activeElement?.getAttribute("placeholder")).toBe("User");
    (document.activeElement as HTMLElement).blur();
    press("?");
    expect((await see("dialog[open]")).textContent).toContain("Next entry of a list");
  });
});

describe("times", () => {
  it("are shown in UTC when that is chosen", async () => {
    const { setZone } = await import("./zone");
    setZone("UTC");
    await show("/recordings", { ...signedIn, [LIST]: page([recording]) });
    expect((await see("tr[data-id=r1] time")).textContent).toBe("2026-03-01 09:30:00");
    setZone(undefined);
  });
});

describe("an address that leads nowhere", () => {
  it("says so beside the navigation", async () => {
    await show("/nowhere/at/all", signedIn);
    await see("[data-testid=not-found]");
    await see("a[href='/recordings']");
  });
});
