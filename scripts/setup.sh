#!/bin/sh
# Sets up a checkout: system packages, then node_modules.
#
# 1. Ask dpkg which packages of packages.txt are missing; install only those.
# 2. Not root (or no apt): print the line to run and exit 3.
# 3. npm installs what package-lock.json says when node_modules is missing or older than it.
# 4. Check that the Node of the package and the native add-on start.
#
# Does nothing, in less than half a second, when nothing is missing.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"

say() { printf 'setup: %s\n' "$*" >&2; }

# Prints the packages of the list that are not installed, on one line.
missing_packages() {
  wanted=$(sed -e 's/#.*//' scripts/packages.txt | tr -s '\n' ' ')
  # dpkg-query fails when it knows one of the names not at all; the others are still printed.
  installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' $wanted 2>/dev/null |
    awk '$2 == "installed" { print $1 }') || true
  for package in $wanted; do
    case "
$installed
" in
    *"
$package
"*) ;;
    *) printf '%s ' "$package" ;;
    esac
  done
}

install_packages() {
  if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    say "this is not Debian or a derivative; install the equivalents of scripts/packages.txt"
    return 0
  fi
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    say "system packages are missing; run this line as root, then try again:"
    printf 'apt-get update && apt-get install -y --no-install-recommends %s\n' "${missing% }" >&2
    exit 3
  fi
  say "installing $missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >&2
  # shellcheck disable=SC2086 # a list of names
  apt-get install -q -y --no-install-recommends $missing >&2
}

modules_current() {
  [ -f node_modules/.package-lock.json ] &&
    [ ! node_modules/.package-lock.json -ot package-lock.json ]
}

install_modules() {
  modules_current && return 0
  say "installing node_modules"
  # Not `npm ci`: it refuses a lock file without the binaries for other platforms, and some
  # registries do not hold all of them. --no-save leaves the lock file as it is. Warnings are
  # about the Node that runs npm; the package `node` brings the one that is needed.
  npm install --no-save --no-audit --no-fund --loglevel=error >&2
  # npm keeps the time of the lock file in some versions; the next run compares times.
  touch node_modules/.package-lock.json
}

# The install scripts of these two must have run; an npm that holds them back needs to be told.
check_modules() {
  [ -x node_modules/node/bin/node ] &&
    [ -f node_modules/zstd-napi/build/Release/binding.node ] && return 0
  say "running the install scripts of node and zstd-napi"
  npm rebuild --foreground-scripts node zstd-napi >&2
  node_modules/node/bin/node --input-type=module -e 'import "zstd-napi"' || {
    say "node_modules is incomplete; remove it and run: npm run setup"
    exit 3
  }
}

install_packages
install_modules
check_modules
