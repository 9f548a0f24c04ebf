#!/bin/bash
# Build playhead_VERSION_ARCH.deb out of a program that is built: scripts/package.sh [PROGRAM [FOLDER]]
#
# PROGRAM is target/release/playhead and FOLDER target/package by default. PACKAGER is whom the package names as its maintainer, in the
# form "Name <mail@example.org>"; COMPRESSION is dpkg-deb's, xz by default. The last line names the package.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-target/release/playhead}
into=${2:-target/package}
packager=${PACKAGER:-Playhead <playhead@localhost.localdomain>}
compression=${COMPRESSION:-xz}

fail() { printf 'make package: %s\n' "$1" >&2; exit 1; }
for tool in dpkg-deb dpkg-shlibdeps; do
  command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install dpkg-dev"
done
[ -x "$program" ] || fail "there is no $program: run 'make build' first"
program=$(realpath "$program")
deploy=$PWD/deploy

version=$("$program" --version | cut -d' ' -f2)
[ -n "$version" ] || fail "$program does not say its version"
arch=$(dpkg --print-architecture)
mkdir -p "$into"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

install -D -m 0755 "$program" "$root/usr/bin/playhead"
strip --strip-unneeded "$root/usr/bin/playhead"
for unit in "$deploy"/debian/*.service; do
  install -D -m 0644 "$unit" "$root/lib/systemd/system/$(basename "$unit")"
done
install -D -m 0640 "$deploy/agent.toml" "$root/etc/playhead/agent.toml"
install -m 0640 "$deploy/debian/server.env" "$deploy/debian/console.env" "$root/etc/playhead/"
install -D -m 0644 "$deploy/debian/copyright" "$root/usr/share/doc/playhead/copyright"
install -m 0644 "$deploy/storage.toml" "$deploy/haproxy.cfg" -D -t "$root/usr/share/doc/playhead/examples"
install -D -m 0644 "$deploy/debian/lintian-overrides" "$root/usr/share/lintian/overrides/playhead"

# The date of the source: the same source makes the same package.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
printf 'playhead (%s) unstable; urgency=medium\n\n  * See CHANGELOG.gz.\n\n -- %s  %s\n' \
  "$version" "$packager" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$root/usr/share/doc/playhead/changelog.gz"
gzip -9nc CHANGELOG.md >"$root/usr/share/doc/playhead/CHANGELOG.gz"
mkdir -p "$root/usr/share/man/man1"
sed "s/@VERSION@/$version/" "$deploy/debian/playhead.1" | gzip -9n >"$root/usr/share/man/man1/playhead.1.gz"

# What the program needs of the system's libraries.
mkdir -p "$work/debian"
printf 'Source: playhead\n\nPackage: playhead\nArchitecture: any\nDescription: x\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O --ignore-missing-info -e"$root/usr/bin/playhead" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || fail "cannot tell which libraries $program needs"

find "$root" -type d -exec chmod 0755 {} +
mkdir -p "$root/DEBIAN"
install -m 0755 "$deploy"/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
install -m 0644 "$deploy/debian/conffiles" "$root/DEBIAN/conffiles"
(cd "$root" && find usr lib -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
chmod 0644 "$root/DEBIAN/md5sums"
size=$(du -k -s --apparent-size --exclude=DEBIAN "$root" | cut -f1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" -e "s/@DEPENDS@/$depends/" -e "s|@MAINTAINER@|$packager|" \
  "$deploy/debian/control" >"$root/DEBIAN/control"
package=$into/playhead_${version}_$arch.deb
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group "-Z$compression" --build "$root" "$package" >/dev/null
echo "$package"
