/** What a key does on the player page. */
export type Action =
  | { do: "toggle" }
  | { do: "move"; byUs: number }
  | { do: "frame"; direction: 1 | -1 }
  | { do: "speed"; direction: 1 | -1 }
  | { do: "share"; of: number }
  | { do: "end" }
  | { do: "skip-idle" }
  | { do: "mute" }
  | { do: "volume"; by: number }
  | { do: "live" }
  | { do: "monitor" }
  | { do: "screenshot" }
  | { do: "copy-link" }
  | { do: "clock" }
  | { do: "events" }
  | { do: "stats" }
  | { do: "full-screen" }
  | { do: "pip" }
  | { do: "help" };

interface Pressed {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

const S = 1_000_000;

const KEYS: Record<string, Action> = {
  " ": { do: "toggle" },
  k: { do: "toggle" },
  ArrowLeft: { do: "move", byUs: -5 * S },
  ArrowRight: { do: "move", byUs: 5 * S },
  j: { do: "move", byUs: -10 * S },
  l: { do: "move", byUs: 10 * S },
  ",": { do: "frame", direction: -1 },
  ".": { do: "frame", direction: 1 },
  "<": { do: "speed", direction: -1 },
  ">": { do: "speed", direction: 1 },
  Home: { do: "share", of: 0 },
  End: { do: "end" },
  x: { do: "skip-idle" },
  m: { do: "mute" },
  ArrowUp: { do: "volume", by: 0.1 },
  ArrowDown: { do: "volume", by: -0.1 },
  v: { do: "live" },
  n: { do: "monitor" },
  s: { do: "screenshot" },
  y: { do: "copy-link" },
  t: { do: "clock" },
  e: { do: "events" },
  d: { do: "stats" },
  f: { do: "full-screen" },
  i: { do: "pip" },
  "?": { do: "help" },
};

/** The action of a key press; undefined when the key means nothing here. */
export function actionOf(event: Pressed): Action | undefined {
  if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
  if (/^[0-9]$/.test(event.key)) return { do: "share", of: Number(event.key) / 10 };
  // Letters mean the same with caps lock on.
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return KEYS[key];
}

export const RATES = [0.5, 1, 1.5, 2, 4, 8, 16] as const;

/** The next speed up or down. */
export function nextRate(rate: number, direction: 1 | -1): number {
  if (direction === 1) return RATES.find((other) => other > rate) ?? RATES[RATES.length - 1] ?? rate;
  return [...RATES].reverse().find((other) => other < rate) ?? RATES[0];
}

/** The help: every key with what it does, in the order of the page's texts. */
export const HELP = [
  [["Space", "K"], "toggle"],
  [["←"], "back5"],
  [["→"], "forward5"],
  [["J"], "back10"],
  [["L"], "forward10"],
  [[","], "frameBack"],
  [["."], "frameForward"],
  [["<"], "slower"],
  [[">"], "faster"],
  [["0", "…", "9"], "jump"],
  [["Home"], "start"],
  [["End"], "end"],
  [["M"], "mute"],
  [["↑", "↓"], "volume"],
  [["X"], "skipIdle"],
  [["V"], "live"],
  [["N"], "monitor"],
  [["S"], "screenshot"],
  [["Y"], "copyLink"],
  [["T"], "clock"],
  [["E"], "events"],
  [["D"], "stats"],
  [["F"], "fullScreen"],
  [["I"], "pip"],
  [["?"], "help"],
] as const;
