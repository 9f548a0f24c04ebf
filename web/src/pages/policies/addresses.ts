/** Addresses of one kind from one to another, both included, as numbers. */
export interface Range {
  kind: 4 | 6;
  from: bigint;
  to: bigint;
}

/** What is wrong with a text that is no range. */
export type Slip =
  | { slip: "form" | "kinds" | "order" }
  | { slip: "prefix"; most: number }
  /** An address within a network in place of the network's own, which is `network`. */
  | { slip: "host"; network: string };

interface Address {
  kind: 4 | 6;
  number: bigint;
}

/** Reads `10.1.2.3`, `10.0.0.0/8`, `10.0.0.1-10.0.0.50`, and the same with IPv6, as session hosts read it. */
export function readRange(text: string): Range | Slip {
  const slash = text.indexOf("/");
  if (slash >= 0) {
    const address = readAddress(text.slice(0, slash));
    const bits = text.slice(slash + 1).trim();
    return address && /^\d{1,9}$/.test(bits) ? network(address, Number(bits)) : { slip: "form" };
  }
  const dash = text.indexOf("-");
  const from = readAddress(dash < 0 ? text : text.slice(0, dash));
  const to = readAddress(dash < 0 ? text : text.slice(dash + 1));
  if (!from || !to) return { slip: "form" };
  if (from.kind !== to.kind) return { slip: "kinds" };
  if (to.number < from.number) return { slip: "order" };
  return { kind: from.kind, from: from.number, to: to.number };
}

/** Whether every address of the one lies within the other. */
export function within(inner: Range, outer: Range): boolean {
  return inner.kind === outer.kind && inner.from >= outer.from && inner.to <= outer.to;
}

/** Whether an address lies in both. */
export function touch(a: Range, b: Range): boolean {
  return a.kind === b.kind && a.from <= b.to && b.from <= a.to;
}

export function isRange(read: Range | Slip): read is Range {
  return !("slip" in read);
}

export function writeAddress(number: bigint, kind: 4 | 6): string {
  const part = (bits: number, at: number) =>
    Number((number >> BigInt(bits * at)) & ((1n << BigInt(bits)) - 1n));
  if (kind === 4) return [3, 2, 1, 0].map((at) => part(8, at)).join(".");
  const groups = [7, 6, 5, 4, 3, 2, 1, 0].map((at) => part(16, at).toString(16));
  // The longest run of zeros is left out.
  const runs = groups.map((_, at) => groups.slice(at).findIndex((group) => group !== "0"));
  const lengths = runs.map((run, at) => (run < 0 ? groups.length - at : run));
  const longest = Math.max(...lengths);
  if (longest < 2) return groups.join(":");
  const at = lengths.indexOf(longest);
  return `${groups.slice(0, at).join(":")}::${groups.slice(at + longest).join(":")}`;
}

function network({ kind, number }: Address, bits: number): Range | Slip {
  const most = kind === 4 ? 32 : 128;
  if (bits > most) return { slip: "prefix", most };
  const host = (1n << BigInt(most - bits)) - 1n;
  const from = number & ~host;
  if (from !== number) return { slip: "host", network: `${writeAddress(from, kind)}/${bits}` };
  return { kind, from, to: from | host };
}

function readAddress(given: string): Address | undefined {
  const text = given.trim();
  if (!text.includes(":")) {
    const number = readV4(text);
    return number === undefined ? undefined : { kind: 4, number };
  }
  const number = readV6(text);
  if (number === undefined) return undefined;
  // IPv4 in the form of IPv6 is IPv4.
  return number >> 32n === 0xffffn ? { kind: 4, number: number & 0xffff_ffffn } : { kind: 6, number };
}

function readV4(text: string): bigint | undefined {
  const parts = text.split(".");
  const fits =
    parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
  return fits ? parts.reduce((number, part) => (number << 8n) | BigInt(part), 0n) : undefined;
}

function readV6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, at) => readGroups(half, at === halves.length - 1));
  if (!head) return undefined;
  if (halves.length === 1) return head.length === 8 ? join(head) : undefined;
  if (!tail || head.length + tail.length > 7) return undefined;
  return join([...head, ...Array<bigint>(8 - head.length - tail.length).fill(0n), ...tail]);
}

/** Groups of 16 bits; the last two may be written as IPv4. */
function readGroups(text: string, last: boolean): bigint[] | undefined {
  if (text === "") return [];
  const groups: bigint[] = [];
  const parts = text.split(":");
  for (const [at, part] of parts.entries()) {
    const four = last && at === parts.length - 1 && part.includes(".") ? readV4(part) : undefined;
    if (four !== undefined) groups.push(four >> 16n, four & 0xffffn);
    else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(BigInt(`0x${part}`));
    else return undefined;
  }
  return groups;
}

function join(groups: bigint[]): bigint {
  return groups.reduce((number, group) => (number << 16n) | group, 0n);
}
