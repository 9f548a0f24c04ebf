// Copies the decoding core, built from crates/player, to where the web build takes it from.
import { copyFileSync, existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const web = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const targets = process.env.CARGO_TARGET_DIR ? [process.env.CARGO_TARGET_DIR] : [];
targets.push(join(web, "..", "target"));
const candidates = targets.map((target) =>
  join(target, "wasm32-unknown-unknown", "wasm", "playhead_player.wasm"),
);
const source = candidates.find((path) => existsSync(path));
if (!source) {
  console.error(
    `the decoding core is missing, looked for ${candidates.join(", ")}\n` +
      "build it first: cargo build -p playhead-player --target wasm32-unknown-unknown --profile wasm",
  );
  process.exit(1);
}
const destination = join(web, "core", "playhead_player.wasm");
mkdirSync(dirname(destination), { recursive: true });
copyFileSync(source, destination);
console.log(`decoding core: ${(statSync(destination).size / 1024).toFixed(1)} KiB`);
