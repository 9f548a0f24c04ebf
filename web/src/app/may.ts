import { useRouteContext } from "@tanstack/react-router";
import type { Me } from "../api/types";

/** Whether whoever is signed in may do something: what they may not is not offered. */
export function useMay(permission: Me["permissions"][number]): boolean {
  const { me } = useRouteContext({ from: "/app" });
  return me.permissions.includes(permission);
}
