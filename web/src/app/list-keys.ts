import { type RefObject, useEffect } from "react";
import { typing } from "./keyboard";

/** Where the keys of a list lead. */
interface Keys {
  /** The part of the page whose links in `tbody` are the entries. */
  list: RefObject<HTMLElement | null>;
  /** What `/` goes to: the first field for text in here. */
  filters?: RefObject<HTMLElement | null>;
}

const STEPS: Record<string, 1 | -1> = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };

/**
 * The keys of a list: `/` to its filters, j and k or the arrows from entry to entry. The entries' own links get the
 * focus, so Enter opens one without further ado.
 */
export function useListKeys({ list, filters }: Keys): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typing(event)) return;
      if (event.key === "/") {
        const field = filters?.current?.querySelector<HTMLElement>("input:not([role=combobox])");
        if (!field) return;
        event.preventDefault();
        field.focus();
        return;
      }
      const step = STEPS[event.key];
      const links = list.current ? entries(list.current) : [];
      if (step === undefined || links.length === 0) return;
      const at = links.findIndex((link) => link.closest("tr")?.contains(document.activeElement));
      const next = links[at < 0 ? 0 : Math.min(Math.max(0, at + step), links.length - 1)];
      event.preventDefault();
      next?.focus();
      next?.closest("tr")?.scrollIntoView({ block: "nearest" });
    };
    // Before anything else on the page: `/` means the palette where there is nothing to filter.
    window.addEventListener("keydown", onKey, { capture: true });
    return () => window.removeEventListener("keydown", onKey, { capture: true });
  }, [list, filters]);
}

function entries(list: HTMLElement): HTMLElement[] {
  const rows = [...list.querySelectorAll("tbody tr")];
  return rows.flatMap((row) => row.querySelector<HTMLElement>("a, button") ?? []);
}
