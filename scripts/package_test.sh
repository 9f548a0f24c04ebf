#!/bin/bash
# Install a package, record with it, upgrade, remove and purge it, in a throw-away copy of this machine: scripts/package_test.sh PACKAGE
#
# Needs root, Xvfb and what scripts/with-copy needs; ends with 77 and the reason where there can be no copy.
set -euo pipefail

if [ -z "${IN_COPY:-}" ]; then
  "$(dirname "$0")/with-copy" "$1" -- "$(realpath "$0")" "/copy/$(basename "$1")"
  echo "package test: installed, recorded, upgraded, removed and purged"
  exit 0
fi

package=$1
. "$(dirname "$0")/in-copy.sh"
fail() { printf 'package test: FAILED: %s\n' "$1" >&2; exit 1; }

step "install"
dpkg -i "$package" >/dev/null
[ "$(stat -c %a:%U /etc/playhead/agent.toml)" = 640:root ] || fail "the settings can be read by everybody"
[ "$(stat -c %a:%U /var/lib/playhead)" = 700:playhead ] || fail "the data folder is not the service's own"
[ "$(stat -c %a:%U /var/lib/playhead-agent)" = 700:root ] || fail "the agent's folder is not its own"
getent passwd playhead >/dev/null || fail "there is no user playhead"
if command -v systemd-analyze >/dev/null; then
  for unit in agent server console; do
    systemd-analyze verify --man=no "/lib/systemd/system/playhead-$unit.service" 2>&1 | grep playhead- && fail "a unit is wrong"
  done
fi
zcat /usr/share/man/man1/playhead.1.gz | grep -q 'agent doctor' || fail "there is no manual"

step "record"
mkdir -m 0700 /var/lib/playhead/up && chown playhead: /var/lib/playhead/up
setpriv --reuid playhead --regid playhead --clear-groups \
  playhead up --data /var/lib/playhead/up --listen 127.0.0.1:8080 --agents 127.0.0.1:8444 --json >/tmp/up.json 2>/tmp/up.log &
site=$!
wait_for "the site" test -s /tmp/up.json
join=$(setpriv --reuid playhead --regid playhead --clear-groups playhead token --kind agent --data /var/lib/playhead/up 2>/dev/null)
Xvfb :7 -screen 0 800x600x24 >/dev/null 2>&1 &
wait_for "the display" test -S /tmp/.X11-unix/X7
sed -i 's|^#displays = .*|displays = [":7"]|; s|^#\[server\]|[server]|; s|^#join = .*|join = "'"$join"'"|' /etc/playhead/agent.toml
records() { playhead agent status --settings /etc/playhead/agent.toml --json | grep -q '"connected":true.*"recording":"'; }
playhead agent --settings /etc/playhead/agent.toml >/tmp/agent.log 2>&1 &
running=$!
wait_for "a recording" records
if ! playhead agent doctor --settings /etc/playhead/agent.toml >/tmp/doctor.txt; then
  cat /tmp/doctor.txt
  fail "the doctor finds something missing"
fi
setpriv --reuid nobody --regid nogroup --clear-groups playhead agent doctor >/tmp/doctor.txt && fail "nobody can read the settings"
grep -q 'not looked at' /tmp/doctor.txt || fail "the doctor does not say what it could not look at"

step "upgrade"
before=$(md5sum /etc/playhead/agent.toml)
dpkg -i "$package" </dev/null >/dev/null
[ "$(md5sum /etc/playhead/agent.toml)" = "$before" ] || fail "the upgrade changes the settings"
wait_for "the recording to go on" records
kill "$running"
wait "$running" || fail "the agent does not end in order"

step "remove"
dpkg -r playhead >/dev/null
[ ! -e /usr/bin/playhead ] || fail "the program is still there"
[ "$(md5sum /etc/playhead/agent.toml)" = "$before" ] || fail "removing takes the settings along"
[ -d /var/lib/playhead/up ] && [ -d /var/lib/playhead-agent ] || fail "removing takes data along"
kill "$site"
wait "$site" || fail "the site does not end in order"

step "purge with recordings"
dpkg -P playhead 2>/tmp/purge.log >/dev/null
grep -q '/var/lib/playhead' /tmp/purge.log || fail "purging does not tell of recordings that are left"
[ -d /var/lib/playhead/up ] || fail "purging deletes recordings"
[ ! -e /etc/playhead ] || fail "purging leaves settings"

step "purge without recordings"
rm -rf /var/lib/playhead/up /var/lib/playhead-agent/spool
dpkg -i "$package" >/dev/null
dpkg -P playhead >/dev/null 2>&1
for gone in /etc/playhead /var/lib/playhead /var/lib/playhead-agent; do
  [ ! -e "$gone" ] || fail "purging leaves $gone"
done
! getent passwd playhead >/dev/null || fail "purging leaves the user"

step "nothing is left"
# What the copy has besides this machine, but for the package manager's own and what belongs to the copy.
left=$(cd /copy/upper && find . -mindepth 1 \( -type f -o -type c -o -type l \) | LC_ALL=C sort | grep -vE \
  '^\./(var/lib/dpkg/|var/log/|var/cache/|var/lib/systemd/|etc/(\.pwd\.lock|passwd|group|shadow|gshadow|subuid|subgid)-?$)' || true)
[ -z "$left" ] || fail "left behind: $left"
