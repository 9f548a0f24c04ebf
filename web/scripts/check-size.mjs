// Fails the build when the first page is larger than it may be: everything index.html and the list of
// recordings load, compressed as a browser gets it.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const limit = 315 * 1000;
const dist = join(resolve(dirname(fileURLToPath(import.meta.url)), ".."), "dist");
const manifestFile = join(dist, "build-manifest.json");
const manifest = JSON.parse(readFileSync(manifestFile, "utf8"));
// Only this check reads it; it is nothing to serve.
rmSync(manifestFile);

const files = new Set(["index.html"]);
function add(key) {
  const chunk = manifest[key];
  if (!chunk || files.has(chunk.file)) return;
  files.add(chunk.file);
  for (const css of chunk.css ?? []) files.add(css);
  for (const next of chunk.imports ?? []) add(next);
}
for (const key of ["index.html", "src/app/shell.tsx", "src/pages/recordings/page.tsx"]) {
  if (!manifest[key]) throw new Error(`expected an entry ${key} in the build manifest, found none`);
  add(key);
}
// Of the fonts a browser loads the one whose letters are used.
for (const file of readdirSync(join(dist, "assets"))) {
  if (/^inter-latin-wght-normal-.*\.woff2$/.test(file)) files.add(`assets/${file}`);
}
let total = 0;
for (const file of files) {
  const size = gzipSync(readFileSync(join(dist, file))).length;
  total += size;
  console.log(`${(size / 1000).toFixed(1).padStart(8)} kB  ${file}`);
}
console.log(`${(total / 1000).toFixed(1).padStart(8)} kB  first page, gzip; limit ${limit / 1000} kB`);
if (total > limit) process.exit(1);
