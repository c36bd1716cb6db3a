#!/bin/sh
# Sets up a checkout: system packages, then node_modules.
#
# 1. Ask dpkg which packages of packages.txt (and of the lists given) are missing; install only
#    those.
# 2. Not root (or no apt): print the line to run and exit 3.
# 3. npm installs what package-lock.json says when node_modules is missing or older than it,
#    beginning with Node 24, under which the rest is installed.
# 4. Check that the native parts start; a stamp remembers that they did.
#
# Does nothing, in less than half a second, when nothing is missing.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"

lists="scripts/packages.txt $*"

say() { printf 'setup: %s\n' "$*" >&2; }

# Prints the packages of the lists that are not installed, on one line.
missing_packages() {
  # shellcheck disable=SC2086 # names of files
  wanted=$(sed -e 's/#.*//' $lists | tr -s '\n' ' ')
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

stamp=node_modules/.osflash-setup
node24=$root/node_modules/node/bin/node

# Imports what has a native part; says so when that crashes or is missing.
natives_work() {
  "$node24" --input-type=module -e '
    await import("zstd-napi")
    await import("@napi-rs/lzma")
    await import("@napi-rs/blake-hash")' >/dev/null 2>&1
}

# Not `npm ci`: it refuses a lock file without the binaries for other platforms, and some
# registries do not hold all of them. --no-save leaves the lock file as it is.
npm_install() {
  npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error >&2
}

# Debian's node-gyp links to the library of Debian's Node, which crashes in any other.
build_zstd() {
  JOBS=max npm rebuild --loglevel=error zstd-napi >&2
  build=node_modules/zstd-napi/build
  if grep -qs -e -lnode "$build/binding.target.mk"; then
    sed -i -e 's/-lnode//' "$build/binding.target.mk"
    rm -f "$build/Release/binding.node" "$build/Release/obj.target/binding.node"
    make -s -C "$build" BUILDTYPE=Release >&2
  fi
}

install_modules() {
  [ -e "$stamp" ] && [ ! "$stamp" -ot package-lock.json ] && return 0
  if [ node_modules/.package-lock.json -ot package-lock.json ] || ! natives_work; then
    say "installing node_modules"
    npm_install
    "$node24" --version >/dev/null 2>&1 || npm rebuild --loglevel=error node >&2
    # The rest under Node 24: npm skips optional packages (the binaries of @napi-rs/lzma) that do
    # not name the Node that runs it, and node-gyp links to the library of that Node.
    PATH=$root/node_modules/node/bin:$PATH
    NODE_NO_WARNINGS=1
    export PATH NODE_NO_WARNINGS
    npm_install
    natives_work || build_zstd
    natives_work || {
      say "the native parts of node_modules do not start; remove node_modules and try again"
      exit 3
    }
  fi
  touch "$stamp"
}

install_packages
install_modules
