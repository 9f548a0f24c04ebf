import { useCallback, useState } from "react";

/** A setting of this browser, kept in local storage as JSON; `read` turns what is stored, or undefined, into a value. */
export function useStored<T>(key: string, read: (stored: unknown) => T): [T, (value: T) => void] {
  const [value, set] = useState<T>(() => read(load(key)));
  const change = useCallback(
    (next: T) => {
      set(next);
      try {
        localStorage.setItem(key, JSON.stringify(next));
      } catch {
        // Storage is full or forbidden; the setting holds until the page is left.
      }
    },
    [key],
  );
  return [value, change];
}

function load(key: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}
