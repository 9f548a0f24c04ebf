import { useSyncExternalStore } from "react";
import type { Zone } from "../format/time";

const STORAGE = "playhead.zone";
const listeners = new Set<() => void>();

function stored(): Zone {
  try {
    return localStorage.getItem(STORAGE) === "UTC" ? "UTC" : undefined;
  } catch {
    // Storage may be forbidden; then the choice holds for this page only.
    return undefined;
  }
}

let chosen: Zone = stored();

export function setZone(zone: Zone): void {
  chosen = zone;
  try {
    if (zone) localStorage.setItem(STORAGE, zone);
    else localStorage.removeItem(STORAGE);
  } catch {
    // As above: the choice is not kept.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The zone in which the person wants to read times. */
export function useZone(): Zone {
  return useSyncExternalStore(subscribe, () => chosen);
}
