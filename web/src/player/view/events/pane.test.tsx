// @vitest-environment jsdom
import { act } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import "../../../i18n";
import type { PlayerController } from "../controller";
import type { Feed } from "./feed";
import { event } from "./testing";

let EventPane: typeof import("./pane").EventPane;
let root: Root;
const jumped: number[] = [];

beforeAll(async () => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  globalThis.ResizeObserver = class {
    observe() {}
    unobserve() {}
    disconnect() {}
  };
  window.matchMedia = () =>
    ({ matches: false, addEventListener: () => undefined, removeEventListener: () => undefined }) as never;
  ({ EventPane } = await import("./pane"));
}, 30_000);

beforeEach(() => {
  jumped.length = 0;
  document.body.innerHTML = '<div id="root"></div>';
  root = createRoot(document.getElementById("root") as HTMLElement);
});
afterEach(() => act(() => root.unmount()));

/** A player of which only the position is known. */
function playerAt(positionUs: number) {
  const listeners = new Set<() => void>();
  const player = {
    snapshot: { positionUs },
    subscribe: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const move = (us: number) =>
    act(() => {
      player.snapshot = { positionUs: us };
      for (const listener of listeners) listener();
    });
  return { player: player as unknown as PlayerController, move };
}

const show = (feed: Partial<Feed>, player = playerAt(0).player, onClose?: () => void) =>
  act(() =>
    root.render(
      <EventPane
        player={player}
        feed={{ events: [], caughtUp: true, full: false, error: undefined, ...feed }}
        live={false}
        startMs={0}
        dayClock={false}
        onJump={(us) => jumped.push(us)}
        onClose={onClose}
      />,
    ),
  );
const rows = () => [...document.querySelectorAll<HTMLElement>("[data-testid=event]")];
const current = () => document.querySelector("[aria-current]")?.getAttribute("data-index");
const press = (element: Element, key: string) => {
  const pressed = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  act(() => void element.dispatchEvent(pressed));
  return pressed.defaultPrevented;
};

it("highlights what happened last, and jumps where one is chosen", () => {
  const { player, move } = playerAt(0);
  show({ events: [event(1), event(3, "helper-ended", { signal: 9 })] }, player);
  expect(rows().map((row) => row.querySelector(".event-time")?.textContent)).toEqual([
    "00:00:01",
    "00:00:03",
  ]);
  expect(current()).toBeUndefined();
  move(2_000_000);
  expect(current()).toBe("0");
  move(3_000_000);
  expect(current()).toBe("1");
  act(() => rows()[0]?.click());
  expect(jumped).toEqual([1_000_000]);
});

it("moves by keys, which do nothing else then", () => {
  show({ events: Array.from({ length: 500 }, (_, at) => event(at)) });
  const [first] = rows();
  if (!first) throw new Error("expected rows");
  expect(rows().length).toBeLessThan(60);
  first.focus();
  expect(press(first, "ArrowDown")).toBe(true);
  expect(document.activeElement?.getAttribute("data-index")).toBe("1");
  expect(press(first, "k")).toBe(false);
  expect(document.querySelectorAll("[data-testid=event][tabindex='0']").length).toBe(1);
});

it("finds by text, and says when nothing is found or there is nothing", async () => {
  show({ events: [event(1), event(3, "helper-ended", { signal: 9 })] }, undefined, vi.fn());
  const field = document.querySelector<HTMLInputElement>("input");
  const type = (text: string) =>
    act(async () => {
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value")?.set?.call(field, text);
      field?.dispatchEvent(new Event("input", { bubbles: true }));
    });
  await type("signal");
  expect(rows().map((row) => row.textContent)).toEqual([expect.stringContaining("killed (signal 9)")]);
  expect(document.querySelector("[data-testid=event-count]")?.textContent).toBe("1 of 2");
  await type("nowhere");
  expect(document.body.textContent).toContain("No event fits");
  show({ events: [] }, undefined, vi.fn());
  await type("");
  expect(document.body.textContent).toContain("No events in this recording");
});

it("says that there is no picture where events are all there is", () => {
  show({ events: [event(1)] });
  expect(document.body.textContent).toContain("not its screen");
  expect(document.querySelector("[aria-label='Close events']")).toBeNull();
});
