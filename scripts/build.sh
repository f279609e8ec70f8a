#!/usr/bin/env bash
# Builds everything into dist/. Incremental: what is up to date is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH"

# True if any of the files or folders behind $1 is newer than $1, or $1 is missing.
outdated() {
  local target=$1
  shift
  [ ! -e "$target" ] || [ -n "$(find "$@" -newer "$target" -print -quit)" ]
}

mkdir -p dist
make -s --no-print-directory

if outdated dist/runnc.node tender/addon binding.gyp package-lock.json; then
  # Node's own headers where they stand beside it or come from Debian, else node-gyp fetches them.
  nodedir=()
  for prefix in "$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")" /usr; do
    if [ -f "$prefix/include/node/node_api.h" ]; then
      nodedir=("--nodedir=$prefix")
      break
    fi
  done
  node-gyp configure build --silent "${nodedir[@]}"
  for addon in network.node runnc.node; do
    cp "build/Release/$addon" "dist/$addon.tmp"
    mv "dist/$addon.tmp" "dist/$addon"
  done
fi

if outdated dist/lib/src/index.js src tsconfig.json tsconfig.build.json package-lock.json; then
  rm -rf dist/lib
  tsc -p tsconfig.build.json
fi

if outdated dist/runnc src runnc dist/runnc.node dist/network.node dist/init dist/control dist/tender-spt dist/fileserver dist/linux.spt package.json package-lock.json; then
  # The working directory of a runtime call is the bundle, so Bun must not read a .env or bunfig.toml there.
  # Without splitting, every node: module that any verb needs would be loaded by each: twice the start-up time.
  # A call ends before compiled code could pay for the threads that compile it, so that starts late.
  commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
  bun build --compile --splitting --bytecode --minify --format=esm --define "RUNNC_COMMIT='$commit'" \
    --no-compile-autoload-dotenv --no-compile-autoload-bunfig --compile-jit-policy=50 \
    runnc/bundle.ts --outfile dist/runnc.tmp >build/bun.log 2>&1 || { cat build/bun.log >&2 && exit 1; }
  mv dist/runnc.tmp dist/runnc
fi
