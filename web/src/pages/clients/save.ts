import type { MadeApiClient } from "../../api/types";

/** What a script needs of a new client, by the names that `playhead api-client create --json` uses as well. */
function facts(made: MadeApiClient): Record<string, string> {
  return {
    name: made.client.name,
    id: made.client.id,
    secret: made.secret,
    customer_id: made.customer_id,
    site_id: made.sites.map((site) => site.id).join(" "),
    token_url: made.token_url,
    expires_at: made.client.expires_at,
  };
}

/** A new client as a file's content. */
export function written(made: MadeApiClient, kind: "csv" | "json"): string {
  const all = facts(made);
  if (kind === "json") return `${JSON.stringify(all, undefined, 2)}\n`;
  // The one text that people write: spreadsheets run what begins like this as a formula.
  const name = /^[=+\-@\t]/.test(made.client.name) ? `'${made.client.name}` : made.client.name;
  const line = Object.values({ ...all, name }).map(cell);
  return `${Object.keys(all).join(",")}\r\n${line.join(",")}\r\n`;
}

function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Saves a new client as a file. */
export function save(made: MadeApiClient, kind: "csv" | "json") {
  const type = kind === "json" ? "application/json" : "text/csv";
  const address = URL.createObjectURL(new Blob([written(made, kind)], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = `${made.client.name.replace(/[^\p{L}\p{N}._-]+/gu, "-")}.${kind}`;
  link.click();
  // The download has begun by then.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
