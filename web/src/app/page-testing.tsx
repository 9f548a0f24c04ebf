import { createMemoryHistory, RouterProvider } from "@tanstack/react-router";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeAll, beforeEach, vi } from "vitest";
import type { Me } from "../api/types";
import "../i18n";
import type { makeRouter as MakeRouter } from "./router";

/** What the console answers, by path; a number is a status of a problem. */
export type Answers = Record<string, unknown>;

const ALL = [
  "list-recordings",
  "play-recordings",
  "download-recordings",
  "shred-recordings",
  "view-sites",
  "manage-sites",
  "manage-directories",
];
export const me = (permissions = ALL, must = false): Me => ({
  user: "admin",
  role: "full" as Me["role"],
  permissions: permissions as Me["permissions"],
  must_change_password: must,
  local: true,
});

let root: Root;
/** The pages shown last. */
export let router: ReturnType<typeof MakeRouter>;
let makeRouter: typeof MakeRouter;
let Providers: typeof import("./providers").Providers;
let queryClient: typeof import("./query-client").queryClient;
/** What was asked for, in order. */
export let requests: string[];

// The modules ask for what jsdom lacks as soon as they are loaded.
beforeAll(async () => {
  window.scrollTo = () => undefined;
  window.matchMedia = (query) =>
    ({
      matches: false,
      media: query,
      addEventListener: () => undefined,
      removeEventListener: () => undefined,
    }) as never;
  globalThis.ResizeObserver = class {
    observe() {}
    unobserve() {}
    disconnect() {}
  };
  // Node's own takes no signal of jsdom's.
  globalThis.Request = class {
    readonly method: string;
    constructor(
      readonly url: string,
      init?: RequestInit,
    ) {
      this.method = init?.method ?? "GET";
    }
  } as never;
  // jsdom has the element without its methods.
  HTMLDialogElement.prototype.showModal = function () {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function () {
    this.open = false;
  };
  Element.prototype.scrollIntoView = () => undefined;
  ({ Providers } = await import("./providers"));
  ({ makeRouter } = await import("./router"));
  ({ queryClient } = await import("./query-client"));
  // Failures are told at once here.
  queryClient.setDefaultOptions({ queries: { retry: false } });
}, 30_000);

beforeEach(() => {
  requests = [];
  document.body.innerHTML = '<div id="root"></div>';
  root = createRoot(document.getElementById("root") as HTMLElement);
});

afterEach(() => {
  root.unmount();
});

/** Shows the page at an address of a console with these answers. */
export async function show(address: string, answers: Answers): Promise<void> {
  vi.stubGlobal("fetch", async (input: Request | string) => {
    const url = new URL(typeof input === "string" ? input : input.url);
    const method = typeof input === "string" ? "GET" : input.method;
    const named = method === "GET" ? "" : `${method} `;
    requests.push(named + url.pathname + url.search);
    const found = answers[named + url.pathname];
    if (found instanceof Promise) await found;
    const status = typeof found === "number" ? found : found === undefined ? 404 : 200;
    const body =
      status === 200 || status === 204
        ? found
        : { type: "/problems/x", title: "Broken", status, detail: "d", id: "e-42" };
    return new Response(status === 204 ? null : JSON.stringify(body), { status });
  });
  queryClient.clear();
  router = makeRouter(queryClient, createMemoryHistory({ initialEntries: [address] }));
  root.render(
    <Providers>
      <RouterProvider router={router} />
    </Providers>,
  );
}

/** The element once it is there. */
export async function see(selector: string): Promise<HTMLElement> {
  return await vi.waitFor(
    async () => {
      const found = document.querySelector<HTMLElement>(selector);
      if (!found) throw new Error(`expected ${selector} in: ${document.body.textContent}`);
      return found;
    },
    { timeout: 30_000 },
  );
}

/** Presses a key where the focus is. */
export function press(key: string): void {
  (document.activeElement ?? document.body).dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }),
  );
}

/** The button with this text or label. */
export function button(text: string, within: ParentNode = document): HTMLButtonElement {
  const all = [...within.querySelectorAll("button")];
  const found = all.find((one) => one.textContent === text || one.getAttribute("aria-label") === text);
  if (!found)
    throw new Error(`expected a button ${text}, got ${all.map((one) => one.textContent).join(", ")}`);
  return found;
}
