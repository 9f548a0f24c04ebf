#!/bin/bash
# Every check there is, cheapest first; ends with the runners' own closing lines. What it needs: scripts/deps.sh test.
set -euo pipefail
cd "$(dirname "$0")/.."

logs=target/test-logs
mkdir -p "$logs"
rm -f "$logs"/*.log
summary=()
started=$SECONDS
# The Python of the tests, with the packages that read our files.
export PATH=$PWD/target/venv/bin:$PATH

# step NAME COMMAND...: run and show it, keep what it printed in a log.
step() {
  local name=$1 from=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  if ! "$@" 2>&1 | tee "$logs/$name.log"; then
    printf '\nmake test: FAILED at: %s (log: %s)\n' "$name" "$logs/$name.log"
    exit 1
  fi
  printf '== %s: %d s\n' "$name" $((SECONDS - from))
}

# attempt NAME COMMAND...: a step that not every machine can run; it ends with 77 then, after a line that says why.
attempt() {
  local name=$1 from=$SECONDS status=0
  shift
  printf '\n== %s\n' "$name"
  "$@" 2>&1 | tee "$logs/$name.log" || status=$?
  case $status in
    0 | 77) summary+=("$name: $(tail -n 1 "$logs/$name.log")") ;;
    *) printf '\nmake test: FAILED at: %s (log: %s)\n' "$name" "$logs/$name.log"; exit 1 ;;
  esac
  printf '== %s: %d s\n' "$name" $((SECONDS - from))
}

# closing NAME PATTERN: remember the lines of that step's log that say how it ended.
closing() {
  local line
  while IFS= read -r line; do summary+=("$1: $line"); done < <(
    sed 's/\x1b\[[0-9;]*m//g; s/^ *//' "$logs/$1.log" | grep -E "$2" || true)
}

# cargo test prints a line for each test binary; add them up.
closing_cargo_test() {
  summary+=("$1: $(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored.*/\1 \2 \3/p' "$logs/$1.log" |
    awk '{ p += $1; f += $2; i += $3 } END { printf "%d passed, %d failed, %d ignored", p, f, i }')")
}

rust_tests() {
  if cargo nextest --version >/dev/null 2>&1; then
    scripts/with-postgres scripts/with-s3 cargo nextest run --workspace --locked --no-fail-fast
  else
    scripts/with-postgres scripts/with-s3 cargo test --workspace --locked --no-fail-fast --lib --bins --tests --examples
  fi
}

step format cargo fmt --all --check
if cargo deny --version >/dev/null 2>&1; then
  step dependencies cargo deny --locked check --hide-inclusion-graph -A duplicate bans licenses sources
  # The list of known vulnerabilities comes over the network.
  if cargo deny fetch db >"$logs/fetch.log" 2>&1; then
    step advisories cargo deny --locked check --disable-fetch --hide-inclusion-graph advisories
  else
    summary+=("advisories: not checked, their database could not be fetched ($logs/fetch.log)")
  fi
else
  summary+=("dependencies: not checked, cargo-deny is not installed (cargo install cargo-deny --locked)")
fi
step web-build scripts/web.sh
step web npm --prefix web run --silent check
closing web '^(Test Files|Tests) '
step lints cargo clippy --workspace --all-targets --locked -- -D warnings
step binary cargo build --locked -p playhead-cli
export PLAYHEAD=${PLAYHEAD:-$PWD/target/debug/playhead}
package() { COMPRESSION=none scripts/package.sh "$PLAYHEAD" target/test-package; }
step package package
package=$(tail -n 1 "$logs/package.log")
attempt install scripts/package_test.sh "$package"
attempt units scripts/units_test.sh "$package"
step rust rust_tests
closing rust '^Summary '
[ -n "$(grep -m1 'Summary \[' "$logs/rust.log" || true)" ] || closing_cargo_test rust
step doc cargo test --workspace --locked --doc --quiet
closing_cargo_test doc

printf '\n'
printf '%s\n' "${summary[@]}"
printf 'make test: all passed in %d s\n' $((SECONDS - started))
