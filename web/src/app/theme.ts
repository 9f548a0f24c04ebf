import { theme as antd, type ThemeConfig } from "antd";
import { useSyncExternalStore } from "react";

export type Choice = "system" | "light" | "dark";
export type Mode = "light" | "dark";

interface Colours {
  accent: string;
  accentHover: string;
  link: string;
  page: string;
  panel: string;
  raised: string;
  line: string;
  edge: string;
  text: string;
  quiet: string;
  hover: string;
  selected: string;
  live: string;
  warn: string;
  bad: string;
  good: string;
}

/** The colours of both themes; texts reach a contrast of 4.5 on every ground they stand on. */
export const COLOURS: Record<Mode, Colours> = {
  light: {
    accent: "#0b6e87",
    accentHover: "#095a6f",
    link: "#0b6680",
    page: "#f5f6f8",
    panel: "#ffffff",
    raised: "#ffffff",
    line: "#dfe3e8",
    edge: "#b4bcc7",
    text: "#171b21",
    quiet: "#555e6b",
    hover: "#f0f3f6",
    selected: "#e2f1f5",
    live: "#b3261e",
    warn: "#8a5300",
    bad: "#b3261e",
    good: "#1b6e3c",
  },
  dark: {
    accent: "#0f7f9a",
    accentHover: "#1592b1",
    link: "#5cc4de",
    page: "#0f1216",
    panel: "#161a20",
    raised: "#1d222a",
    line: "#2b323c",
    edge: "#4a5461",
    text: "#e6e9ee",
    quiet: "#a1abb8",
    hover: "#1f252d",
    selected: "#12323c",
    live: "#ff8a80",
    warn: "#f2b457",
    bad: "#ff8a80",
    good: "#7fd39a",
  },
};

const FONT = "'Inter Variable', system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

export function antdTheme(mode: Mode): ThemeConfig {
  const colours = COLOURS[mode];
  return {
    algorithm: mode === "dark" ? antd.darkAlgorithm : antd.defaultAlgorithm,
    token: {
      colorPrimary: colours.accent,
      colorPrimaryHover: colours.accentHover,
      colorInfo: colours.accent,
      colorPrimaryBg: colours.selected,
      controlItemBgActive: colours.selected,
      colorInfoBg: colours.selected,
      colorInfoBorder: colours.selected,
      colorLink: colours.link,
      colorLinkHover: colours.text,
      colorBgBase: colours.panel,
      colorBgLayout: colours.page,
      colorBgContainer: colours.panel,
      colorBgElevated: colours.raised,
      colorBorder: colours.edge,
      colorBorderSecondary: colours.line,
      colorText: colours.text,
      colorTextSecondary: colours.quiet,
      colorTextTertiary: colours.quiet,
      colorTextDescription: colours.quiet,
      colorTextPlaceholder: colours.quiet,
      colorError: mode === "dark" ? "#e5645b" : colours.bad,
      colorErrorText: colours.bad,
      fontFamily: FONT,
      fontFamilyCode: "ui-monospace, 'SF Mono', 'Cascadia Mono', 'DejaVu Sans Mono', Consolas, monospace",
      fontSize: 14,
      borderRadius: 6,
      controlHeight: 32,
      wireframe: false,
      motion: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    },
    components: {
      // White would not be readable on the dark theme's red.
      ...(mode === "dark" ? { Button: { dangerColor: "#1a0705" } } : {}),
      Tooltip: { colorBgSpotlight: mode === "dark" ? "#39424e" : "#22282f" },
    },
  };
}

const STORAGE = "playhead.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

function stored(): Choice {
  try {
    const value = localStorage.getItem(STORAGE);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    // Storage may be forbidden; then the choice holds for this page only.
    return "system";
  }
}

let choice: Choice = stored();

function mode(): Mode {
  return choice === "system" ? (dark.matches ? "dark" : "light") : choice;
}

/** Gives the own style sheets the colours by custom properties, so that they stand in one place. */
function apply(): void {
  const root = document.documentElement;
  root.dataset.theme = mode();
  root.style.colorScheme = mode();
  for (const [name, value] of Object.entries(COLOURS[mode()])) {
    root.style.setProperty(`--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, value);
  }
  for (const listener of listeners) listener();
}

dark.addEventListener("change", apply);
apply();

export function setTheme(next: Choice): void {
  choice = next;
  try {
    if (next === "system") localStorage.removeItem(STORAGE);
    else localStorage.setItem(STORAGE, next);
  } catch {
    // As above: the choice is not kept.
  }
  apply();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useMode(): Mode {
  return useSyncExternalStore(subscribe, mode);
}

export function useThemeChoice(): Choice {
  return useSyncExternalStore(subscribe, () => choice);
}
