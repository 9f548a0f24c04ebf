#!/bin/bash
# Build the player's decoding core (Rust, for the browser) and the web app into web/dist; quick when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --locked -p playhead-player --target wasm32-unknown-unknown --profile wasm
wasm=target/wasm32-unknown-unknown/wasm/playhead_player.wasm

cd web
# npm leaves a copy of the lock file in what it installed.
if ! [ node_modules/.package-lock.json -nt package-lock.json ]; then
  # Not `npm ci`: it insists on optional packages for other platforms, which a registry mirror may not carry. This takes the
  # versions and checksums of the lock file all the same, and leaves that file alone.
  npm install --no-save --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
fi

built=dist/index.html
if ! [ -e "$built" ] || [ "../$wasm" -nt "$built" ] ||
  [ -n "$(find . -path ./node_modules -prune -o -path ./dist -prune -o -type f -newer "$built" -print -quit)" ]; then
  npm run --silent build
fi
