#!/bin/bash
# Run every fuzz target, or those named, for FUZZ_MINUTES (10) minutes each; ends at the first finding.
#   scripts/fuzz.sh [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${FUZZ_MINUTES:-10}

fail() { echo "make fuzz: $1" >&2; exit 1; }
[[ $minutes =~ ^[1-9][0-9]*$ ]] || fail "FUZZ_MINUTES is '$minutes': give a whole number of minutes, 1 or more"
command -v rustup >/dev/null || fail "fuzzing needs Rust's nightly compiler: install Rust with rustup (https://rustup.rs)"
rustup toolchain list | grep -q ^nightly || fail "fuzzing needs Rust's nightly compiler: run 'rustup toolchain install nightly'"
cargo +nightly fuzz --version >/dev/null 2>&1 || fail "cargo-fuzz is missing: run 'cargo install cargo-fuzz --locked'"

[ $# -gt 0 ] || set -- $(cargo +nightly fuzz list)
cargo +nightly fuzz build
for target in "$@"; do
  echo "== $target: $minutes min"
  # Inputs that reach new code are kept beside the build, findings beside the target (fuzz/artifacts).
  corpus=fuzz/target/corpus/$target
  mkdir -p "$corpus"
  seeds=()
  [ ! -d "fuzz/seeds/$target" ] || seeds=("fuzz/seeds/$target")
  cargo +nightly fuzz run "$target" "$corpus" "${seeds[@]}" -- \
    -max_total_time=$((minutes * 60)) -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 2>&1 |
    grep -E --line-buffered '^(==|SUMMARY|Test unit|Base64|stat::|thread|artifact|.*panicked|Done )' || [ "${PIPESTATUS[0]}" = 0 ] ||
    fail "$target has a finding: see fuzz/artifacts/$target"
done
echo "make fuzz: $# targets, $minutes min each, no finding"
