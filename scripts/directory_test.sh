#!/bin/bash
# A session host whose users are in a directory: OpenLDAP, SSSD, xrdp by PAM, and a policy by the directory's groups, on a throw-away
# copy of this machine that systemd runs: scripts/directory_test.sh PACKAGE
#
# SSSD's packages are fetched with apt-get into target/sssd, and installed in the copy alone. Ends with 77 and the reason where there can
# be no copy. Not part of `make test`: it needs the network.
set -euo pipefail

if [ -z "${IN_COPY:-}" ]; then
  package=$(realpath "$1")
  cd "$(dirname "$0")/.."
  mkdir -p target/sssd/partial
  apt-get -qq -y --no-install-recommends --download-only -o Dir::Cache::archives="$PWD/target/sssd" install sssd-ldap libnss-sss libpam-sss
  scripts/with-copy --boot "$package" target/sssd/*.deb -- bash "$PWD/scripts/$(basename "$0")"
  echo "directory test: signed in by the directory, recorded by its groups, with the directory there and away"
  exit 0
fi

. "$(dirname "$0")/in-copy.sh"
fail() {
  printf 'directory test: FAILED: %s\n' "$1"
  journalctl --no-pager --quiet -n 80
  exit 1
}

step "a directory"
echo 127.0.0.1 directory.corp.example >>/etc/hosts
mkdir -p /srv/ldap/data /etc/ldap/tls
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=directory.corp.example -addext subjectAltName=DNS:directory.corp.example \
  -keyout /etc/ldap/tls/key.pem -out /etc/ldap/tls/cert.pem 2>/dev/null
# Accounts and groups as RFC 2307bis has them: a group is one of names, so that groups can hold groups. uidNumber and gidNumber slapd has by itself.
cat >/srv/ldap/posix.schema <<'END'
attributetype ( 1.3.6.1.1.1.1.3 NAME 'homeDirectory' EQUALITY caseExactIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 SINGLE-VALUE )
attributetype ( 1.3.6.1.1.1.1.4 NAME 'loginShell' EQUALITY caseExactIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 SINGLE-VALUE )
objectclass ( 1.3.6.1.1.1.2.0 NAME 'posixAccount' SUP top AUXILIARY MUST ( cn $ uid $ uidNumber $ gidNumber $ homeDirectory ) MAY loginShell )
objectclass ( 1.3.6.1.1.1.2.2 NAME 'posixGroup' SUP top AUXILIARY MUST gidNumber )
END
cat >/srv/ldap/slapd.conf <<'END'
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /srv/ldap/posix.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
TLSCertificateFile /etc/ldap/tls/cert.pem
TLSCertificateKeyFile /etc/ldap/tls/key.pem
database mdb
suffix dc=corp,dc=example
rootdn cn=admin,dc=corp,dc=example
rootpw admin
directory /srv/ldap/data
index uid,uidNumber,gidNumber,member eq
overlay memberof
END
person() {
  printf 'dn: uid=%s,dc=corp,dc=example\nobjectClass: inetOrgPerson\nobjectClass: posixAccount\nuid: %s\ncn: %s\nsn: %s\n' "$1" "$1" "$1" "$1"
  printf 'uidNumber: %s\ngidNumber: 60000\nhomeDirectory: /home/%s\nloginShell: /bin/bash\nuserPassword: Play-head-7\n\n' "$2" "$1"
}
group() {
  printf 'dn: cn=%s,dc=corp,dc=example\nobjectClass: groupOfNames\nobjectClass: posixGroup\ncn: %s\ngidNumber: %s\nmember: %s,dc=corp,dc=example\n\n' "$1" "$1" "$2" "$3"
}
{
  printf 'dn: dc=corp,dc=example\nobjectClass: dcObject\nobjectClass: organization\no: Corp\ndc: corp\n\n'
  person carla 60001
  person dora 60002
  group 'Everyone here' 60000 uid=dora
  group Accountants 60010 uid=carla
  group Finance 60011 cn=Accountants
} >/srv/ldap/data.ldif
slapadd -q -f /srv/ldap/slapd.conf -l /srv/ldap/data.ldif
systemd-run --quiet --unit directory slapd -d 0 -f /srv/ldap/slapd.conf -h ldaps://directory.corp.example:636
wait_for "the directory" env LDAPTLS_CACERT=/etc/ldap/tls/cert.pem ldapsearch -x -H ldaps://directory.corp.example -b dc=corp,dc=example -s base

step "SSSD"
mkdir -p /etc/sssd
cat >/etc/sssd/sssd.conf <<'END'
[sssd]
services = nss, pam
domains = corp
[domain/corp]
id_provider = ldap
auth_provider = ldap
ldap_schema = rfc2307bis
ldap_group_object_class = groupOfNames
ldap_uri = ldaps://directory.corp.example
ldap_tls_cacert = /etc/ldap/tls/cert.pem
ldap_search_base = dc=corp,dc=example
cache_credentials = true
END
chmod 600 /etc/sssd/sssd.conf
dpkg -i /copy/*.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; fail "the packages cannot be installed"; }
pam-auth-update --enable mkhomedir
systemctl restart sssd
wait_for "an account of the directory" getent passwd carla
printf 'carla: %s\n' "$(id carla)"

step "console, recording server, agent"
systemctl start playhead-console
wait_for "the console" test -s /var/lib/playhead/console/admin-password
cat >>/etc/playhead/server.env <<END
PLAYHEAD_JOIN=$(as_service playhead token --kind server --data /var/lib/playhead/console 2>/dev/null)
PLAYHEAD_OPTIONS=--listen-agents 127.0.0.1:8443 --agents-url https://127.0.0.1:8443
END
systemctl start playhead-server
wait_for "the recording server" bash -c 'exec 3<>/dev/tcp/127.0.0.1/8443'
echo '{"name": "By group", "rules": [{"name": "Finance", "action": "record-with-notice", "scope": {"groups": ["finance"]}}]}' >/tmp/policy.json
chmod 644 /tmp/policy.json
as_service playhead policy create /tmp/policy.json --data /var/lib/playhead/server >/dev/null 2>&1
as_service playhead policy activate 'By group' --data /var/lib/playhead/server >/dev/null 2>&1
join=$(as_service playhead token --kind agent --data /var/lib/playhead/server 2>/dev/null)
sed -i 's|^#\[server\]|[server]|; s|^#join = .*|join = "'"$join"'"|; s|^#\[sessions\]|[sessions]|; s|^#discover = .*|discover = true|' /etc/playhead/agent.toml
systemctl start playhead-agent
wait_for "the policy on the host" grep -q 'By group' /var/lib/playhead-agent/policy.json

# sessions_of USER [--all]: what the recording server says of them.
sessions_of() { as_service playhead session list --data /var/lib/playhead/server --user "$1" --json 2>/dev/null; }
# in_by_rdp USER: signs in at xrdp, and so by PAM.
in_by_rdp() {
  systemd-run --quiet --unit "client-$1" --setenv DISPLAY=:50 --setenv HOME=/tmp \
    xfreerdp /v:127.0.0.1 /cert:ignore "/u:$1" /p:Play-head-7 /size:640x480
}
usermod --append --groups ssl-cert xrdp
systemctl start xrdp
systemd-run --quiet --unit screen Xvfb :50 -screen 0 1280x800x24
wait_for "xrdp" bash -c 'exec 3<>/dev/tcp/127.0.0.1/3389'
wait_for "the clients' screen" test -S /tmp/.X11-unix/X50

step "a user whose group is in a group that the policy records"
in_by_rdp carla
recorded() {
  sessions_of carla | json 'any(s["recording"]["recording"] and s["recording"]["decided"].get("rule") == "Finance"
    and {"Accountants", "Finance", "Everyone here"} <= set(s["groups"]) and s["protocol"] == "rdp" for s in it["items"])'
}
wait_for "Carla's recording" recorded
sessions_of carla | json '[(s["user"], s["groups"], s["recording"]["decided"]) for s in it["items"]]'
wait_for "Carla's notice" pgrep -u carla -f 'agent helper'

step "a user who is in none"
in_by_rdp dora
left_alone() { sessions_of dora | json 'any(s["groups"] == ["Everyone here"] and s["recording"]["action"] == "disable" and not s["recording"]["recording"] for s in it["items"])'; }
wait_for "Dora's session" left_alone

step "the directory is away"
systemctl stop directory
loginctl terminate-user carla
over() { sessions_of carla | json 'not it["items"]'; }
wait_for "the end of Carla's session" over
systemctl stop client-carla 2>/dev/null || true
systemctl reset-failed client-carla 2>/dev/null || true
sss_cache -E 2>/dev/null || true
in_by_rdp carla
wait_for "Carla's recording, by what SSSD has kept" recorded

step "nobody knows the user any more"
systemctl stop sssd
rm -f /var/lib/sss/mc/*
cookie=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
install -d -o 60003 -m 700 /home/unknown
setpriv --reuid 60003 --regid 60000 --clear-groups xauth -q -f /home/unknown/.Xauthority add :9 . "$cookie" 2>/dev/null
systemd-run --quiet --unit unknown setpriv --reuid 60003 --regid 60000 --clear-groups env HOME=/home/unknown \
  Xtigervnc :9 -geometry 640x480 -depth 24 -auth /home/unknown/.Xauthority -SecurityTypes None -rfbport 5909 -localhost
unknown() { sessions_of 60003 | json 'any(s["display"] == ":9" and s["recording"]["recording"] for s in it["items"])'; }
wait_for "the recording of somebody unknown" unknown
sessions_of 60003 | json '[(s["user"], s["groups"], s["recording"]["decided"]) for s in it["items"]]'
