# What tests in a copy of the machine (scripts/with-copy) have in common. They define `fail WHAT`, which tells what is wrong and ends them.
# shellcheck shell=bash
export DEBIAN_FRONTEND=noninteractive
step() { printf '== %s\n' "$1"; }
# wait_for WHAT COMMAND...: until the command succeeds.
wait_for() {
  local what=$1 from=$SECONDS
  shift
  until "$@" >/dev/null 2>&1; do
    [ $((SECONDS - from)) -lt 90 ] || fail "waited too long for $what"
    sleep 0.2
  done
}
# json EXPRESSION: what Python makes of the JSON on standard input, called `it`; an expression that is false or fails fails.
json() { python3 -c 'import json, sys; it = json.load(sys.stdin); said = eval(sys.argv[1]); print(said); sys.exit(not said)' "$1"; }
as_service() { runuser -u playhead -- "$@"; }
