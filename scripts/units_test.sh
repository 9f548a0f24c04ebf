#!/bin/bash
# Install a package on a machine that systemd runs, start its units as docs/operations.md says, record with them, restart, stop and remove
# them: scripts/units_test.sh PACKAGE [--security]
#
# The machine is a throw-away copy of this one (scripts/with-copy): ends with 77 and the reason where there can be none. Needs Xvnc, Xvfb
# and an X client too. --security also prints how exposed systemd-analyze finds them.
set -euo pipefail

if [ -z "${IN_COPY:-}" ]; then
  "$(dirname "$0")/with-copy" --boot "$1" -- bash "$(realpath "$0")" "/copy/$(basename "$1")" "${2:-}"
  echo "units test: started, recorded, restarted, stopped and removed"
  exit 0
fi

package=$1
. "$(dirname "$0")/in-copy.sh"
units=(playhead-console playhead-server playhead-agent)
began=$SECONDS
status() { playhead agent status --settings /etc/playhead/agent.toml --json; }
fail() {
  printf 'units test: FAILED: %s\n' "$1"
  journalctl --no-pager --quiet -n 60
  systemctl --no-pager status "${units[@]}" || true
  status || true
  exit 1
}
property() { systemctl show --property "$2" --value "$1"; }

step "install"
apt-get -qq -y --no-install-recommends install "$package" >/tmp/apt.log 2>&1 || { cat /tmp/apt.log; fail "the package cannot be installed"; }
for unit in "${units[@]}"; do
  [ "$(systemctl is-enabled "$unit")" = disabled ] || fail "$unit is enabled by itself"
  [ "$(systemctl is-active "$unit")" = inactive ] || fail "$unit is started by itself"
done

step "console and recording server"
systemctl enable --quiet --now playhead-console
password=/var/lib/playhead/console/admin-password
wait_for "the console" test -s "$password"
[ "$(stat -c %a:%U "$password")" = 600:playhead ] || fail "the first password can be read by others"
join_server=$(as_service playhead token --kind server --data /var/lib/playhead/console 2>/dev/null)
cat >>/etc/playhead/server.env <<END
PLAYHEAD_JOIN=$join_server
PLAYHEAD_OPTIONS=--listen-agents 127.0.0.1:8443 --agents-url https://127.0.0.1:8443
END
systemctl enable --quiet --now playhead-server
wait_for "the recording server" bash -c 'exec 3<>/dev/tcp/127.0.0.1/8443'
join_agent=$(as_service playhead token --kind agent --data /var/lib/playhead/server 2>/dev/null)
as_service playhead policy activate record-with-notice --data /var/lib/playhead/server >/dev/null 2>&1

step "agent"
# A display that the settings name, and the session of an ordinary user.
useradd --create-home anna
systemd-run --quiet --unit display Xvfb :7 -screen 0 640x480x24 -noreset
wait_for "the display" test -S /tmp/.X11-unix/X7
cookie=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
runuser -u anna -- xauth -q -f /home/anna/.Xauthority add :8 . "$cookie" 2>/dev/null
sed -i 's|^#displays = .*|displays = [":7"]|; s|^#\[server\]|[server]|; s|^#join = .*|join = "'"$join_agent"'"|
  s|^#\[sessions\]|[sessions]|; s|^#discover = .*|discover = true|' /etc/playhead/agent.toml
systemctl enable --quiet --now playhead-agent
wait_for "the policy on the host" grep -q record-with-notice /var/lib/playhead-agent/policy.json
systemd-run --quiet --unit session --uid anna --setenv HOME=/home/anna \
  Xtigervnc :8 -geometry 800x600 -depth 24 -auth /home/anna/.Xauthority -SecurityTypes None -rfbport 5908 -localhost
# recording_of DISPLAY, session_of RECORDING: the id of the recording under way, of the session that it shows.
session_of() { status | json 'next(s["id"] for s in it["sessions"] if s["recording"]["recording"] == "'"$1"'")'; }
recording_of() { status | json 'it["displays"]["'"$1"'"]["recording"]'; }
wait_for "a recording of the display" recording_of :7
wait_for "a recording of the session" recording_of :8
first=$(recording_of :7) second=$(recording_of :8)
session=$(session_of "$second")
listed() { as_service playhead session list --data /var/lib/playhead/server --user anna --json; }
of_session() { listed | json 'any(s["recording"]["recording"] == "'"$second"'" and "anna" in s["groups"] and s["display"] == ":8" for s in it["items"])'; }
wait_for "the session at the server" of_session

# Somebody who comes by RDP, signs in by PAM, and has a service manager of the user's own.
if [ -x /usr/sbin/xrdp ] && command -v xfreerdp >/dev/null; then
  step "a session by RDP"
  useradd --create-home --shell /bin/bash ben
  echo 'ben:Play-head-7' | chpasswd
  printf 'exec sleep 1000000\n' >/home/ben/.xsession
  # The package leaves xrdp without its own key.
  usermod --append --groups ssl-cert xrdp
  systemctl start xrdp
  wait_for "xrdp" bash -c 'exec 3<>/dev/tcp/127.0.0.1/3389'
  systemd-run --quiet --unit client --setenv DISPLAY=:7 --setenv HOME=/tmp \
    xfreerdp /v:127.0.0.1 /cert:ignore /u:ben /p:Play-head-7 /size:640x480 /client-hostname:PC1
  ben() { as_service playhead session list --data /var/lib/playhead/server --user ben --json 2>/dev/null; }
  by_rdp() { ben | json 'any(s["recording"]["recording"] and s["protocol"] == "rdp" and s["client"] == "PC1" for s in it["items"])'; }
  wait_for "a recording of the session by RDP" by_rdp
fi

step "the helper that tells the user"
wait_for "the helper" pgrep -u anna -f 'agent helper'
helper=$(pgrep -u anna -f 'agent helper' | head -n 1)
for right in 'CapPrm:.*0000000000000000' 'CapEff:.*0000000000000000' 'NoNewPrivs:.*1'; do
  grep -q "^$right\$" "/proc/$helper/status" || fail "the helper has rights: $(grep -E 'Cap|NoNew' "/proc/$helper/status")"
done
shown() { DISPLAY=:8 XAUTHORITY=/home/anna/.Xauthority xwininfo -root -tree | grep -q '"playhead'; }
if command -v xwininfo >/dev/null; then wait_for "the notice" shown; fi
playhead agent doctor >/tmp/doctor.txt || { cat /tmp/doctor.txt; fail "the doctor finds something missing"; }

step "restart"
for unit in playhead-agent playhead-server playhead-console; do
  systemctl restart "$unit"
  [ "$(systemctl is-active "$unit")" = active ] || fail "$unit is not active after a restart"
done
# Stopping an agent ends its recordings; started again it makes others of the same sessions.
others() {
  status | json 'it["running"] and it["server"]["connected"]' || return 1
  third=$(recording_of :7) fourth=$(recording_of :8) || return 1
  [ "$third" != "$first" ] && [ "$fourth" != "$second" ] && [ "$(session_of "$fourth")" = "$session" ]
}
wait_for "recordings after the restart" others
wait_for "the helper again" pgrep -u anna -f 'agent helper'

step "a crash"
goes_on() { status | json 'it["running"] and it["server"]["connected"]' && [ "$(recording_of :7):$(recording_of :8)" = "$third:$fourth" ]; }
kill -KILL "$(property playhead-agent MainPID)"
started_again() { [ "$(property playhead-agent NRestarts)" = 1 ]; }
wait_for "another start" started_again
wait_for "the recordings to go on" goes_on

step "stop"
for unit in playhead-agent playhead-server playhead-console; do
  from=$SECONDS
  systemctl stop "$unit"
  [ $((SECONDS - from)) -lt 25 ] || fail "$unit takes $((SECONDS - from)) s to stop"
  [ "$(property "$unit" Result):$(property "$unit" ExecMainStatus)" = success:0 ] || fail "$unit does not end in order"
done
[ -z "$(pgrep -u anna -f 'agent helper')" ] || fail "a helper outlives the agent"

step "the journal"
journalctl --no-pager --quiet --output cat "${units[@]/#/--unit=}" >/tmp/journal.txt
for unit in "${units[@]}"; do
  journalctl --no-pager --quiet --output cat --unit "$unit" | grep -q ' INFO ' || fail "$unit logs nothing"
done
for secret in "$join_server" "$join_agent" "$cookie" "$(cat "$password")"; do
  ! grep -qF -- "$secret" /tmp/journal.txt || fail "a secret stands in the journal"
done
! grep -qE $'\x1b' /tmp/journal.txt || fail "the journal has colours for terminals"
! grep -E ' (ERROR|WARN) ' /tmp/journal.txt >/tmp/troubles.txt || sed 's/^/   said: /' /tmp/troubles.txt
[ "${2:-}" != --security ] || for unit in "${units[@]}"; do systemd-analyze --no-pager security "$unit" | tail -n 1; done

step "remove"
for unit in "${units[@]}"; do systemctl start "$unit"; done
apt-get -qq -y remove playhead >/tmp/apt.log 2>&1 || { cat /tmp/apt.log; fail "the package cannot be removed"; }
for unit in "${units[@]}"; do
  [ "$(systemctl is-active "$unit" || true)" = inactive ] || fail "$unit outlives the package"
  [ ! -e "/etc/systemd/system/multi-user.target.wants/$unit.service" ] || fail "$unit stays enabled"
done
! pgrep -x playhead || fail "something of the package goes on"
[ -s /etc/playhead/server.env ] && [ -d /var/lib/playhead/server/recordings ] || fail "removing takes settings or data along"
printf 'units test: %s s\n' $((SECONDS - began))
