#!/bin/bash
# Install what building and running need and this machine lacks; silent when nothing is missing.
#
#   scripts/deps.sh demo    compilers and the programs of the demonstration desktop
#   scripts/deps.sh test    the same, and what the tests need
#   scripts/deps.sh bench   the same as demo, and what the benchmarks need
#
# Debian packages are installed with apt-get, as root or through sudo. Rust and Node.js are never installed or
# changed behind your back: where they are missing or too old, the message says what to do.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-demo}

fail() { printf '\nmake deps: %s\n' "$1" >&2; exit 1; }

# at_least HAVE WANT: is the version HAVE at least WANT?
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# quietly COMMAND...: shows what it prints only when it fails.
quietly() {
  local said
  said=$("$@" 2>&1 </dev/null) && return 0
  printf '%s\n' "$said" >&2
  return 1
}

debian_packages() {
  local packages=(build-essential dpkg-dev cmake nasm pkg-config ca-certificates
    xvfb openbox xterm mousepad chromium ffmpeg procps fonts-dejavu-core xfonts-base)
  case $what in
    demo) ;;
    test) packages+=(adduser age dbus e2fsprogs iproute2 libfaketime mount postgresql haproxy util-linux python3 python3-venv chromium-driver tigervnc-standalone-server pulseaudio pulseaudio-utils slapd ldap-utils systemd) ;;
    bench) packages+=(mkvtoolnix python3) ;;
    *) fail "unknown set of packages '$what': choose demo, test or bench" ;;
  esac
  # A session host, for the tests that sign in to one.
  [ "$what" != test ] || packages+=(xrdp xorgxrdp freerdp2-x11 tigervnc-viewer xauth passwd)
  local missing=() package
  for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0

  command -v apt-get >/dev/null || fail "this is not Debian or Ubuntu: install the equivalents of: ${missing[*]}"
  local root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null ||
      fail "these packages are missing and there is no sudo; as root, run: apt-get install ${missing[*]}"
    root=(sudo)
  fi
  echo "make deps: installing ${missing[*]}"
  quietly "${root[@]}" apt-get -qq update || fail "apt-get update failed: check the network and /etc/apt/sources.list"
  quietly "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}" ||
    fail "apt-get could not install ${missing[*]}: see its message above"
}

rust() {
  local want have
  want=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
    fail "Rust is installed but not on the PATH: run '. \"$HOME/.cargo/env\"', then make again"
  fi
  command -v cargo >/dev/null ||
    fail "Rust is missing: install it with rustup as https://rustup.rs describes, then make again"
  have=$(rustc --version | cut -d' ' -f2)
  at_least "$have" "$want" || fail "Rust $have is too old, $want or newer is needed: run 'rustup update stable', then make again"

  if ! [ -d "$(rustc --print target-libdir --target wasm32-unknown-unknown)" ]; then
    command -v rustup >/dev/null ||
      fail "the Rust target wasm32-unknown-unknown is missing and there is no rustup to add it: install Rust with rustup (https://rustup.rs)"
    echo "make deps: adding the Rust target wasm32-unknown-unknown"
    rustup --quiet target add wasm32-unknown-unknown
  fi
  [ "$what" = test ] || return 0
  local tool
  for tool in rustfmt clippy; do
    cargo "${tool/rustfmt/fmt}" --version >/dev/null 2>&1 && continue
    command -v rustup >/dev/null || fail "$tool is missing: install Rust with rustup (https://rustup.rs)"
    echo "make deps: adding $tool"
    rustup --quiet component add "$tool"
  done
}

node() {
  local want=20.19.0 have
  have=$(command node --version 2>/dev/null || true)
  have=${have#v}
  [ -n "$have" ] || fail "Node.js is missing: install $want or newer from https://nodejs.org (Debian 12's own package, 18, is too old), then make again"
  at_least "$have" "$want" ||
    fail "Node.js $have is too old, $want or newer is needed: install it from https://nodejs.org (Debian 12's own package, 18, is too old), then make again"
  command -v npm >/dev/null || fail "npm is missing: it comes with Node.js from https://nodejs.org"
}

# The public Python packages that check our files from outside, and the S3 server of the tests.
python() {
  local venv=target/venv list=scripts/test-requirements.txt
  cmp -s "$list" "$venv/installed.txt" && return 0
  echo "make deps: installing Python packages into $venv"
  mkdir -p target
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv" || fail "python3 -m venv failed: install python3-venv, then make again"
  "$venv/bin/pip" --quiet --disable-pip-version-check install -r "$list" || fail "pip could not install $list: check the network"
  cp "$list" "$venv/installed.txt"
}

debian_packages
rust
node
[ "$what" != test ] || python
