#!/bin/bash
# Record a site while everything around it fails, and prove that nothing acknowledged is lost.
#
#   SOAK_FAULTS=200 scripts/soak.sh
#
# Settings, from the environment: SOAK_FAULTS (200), SOAK_SEED (from the clock; the same seed makes the same faults),
# SOAK_VARIANT (postgres-s3, sqlite-folder; both), SOAK_FAKETIME (libfaketimeMT.so.1, where it lies elsewhere), SOAK_PLANT
# (journal, segment: lose something on purpose; the soak must fail). What it needs: scripts/deps.sh test, and root for the
# faults of disks.
set -euo pipefail
cd "$(dirname "$0")/.."

export SOAK_FAULTS=${SOAK_FAULTS:-200}
mkdir -p target/test-logs
[ -n "${PLAYHEAD:-}" ] || cargo build --locked -p playhead-cli
cargo test --locked --no-run -p playhead-testsuite --test soak

# A process group of its own: whatever happens to this script, nothing that was started stays.
group=
stop() {
  trap '' INT TERM HUP
  [ -z "$group" ] || kill -TERM -- "-$group" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# Small disks are mounted where nobody else sees them, and go with the programs.
alone=()
if [ "$(id -u)" = 0 ] && unshare --mount true 2>/dev/null; then alone=(unshare --mount); fi
set -m
"${alone[@]}" cargo test --locked -p playhead-testsuite --test soak -- --ignored --nocapture nothing_acknowledged_is_lost \
  > >(tee target/test-logs/soak.log) 2>&1 &
group=$!
set +m
code=0
wait "$group" || code=$?
group=
[ "$code" = 0 ] || echo "make soak: FAILED (log: target/test-logs/soak.log)"
exit "$code"
