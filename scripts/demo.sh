#!/usr/bin/env bash
# Sets up, builds, runs a container and shows the host system calls it was allowed. Root is not needed.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh build
scripts/build.sh

bundle=$(mktemp -d)
trap 'rm -rf "$bundle"' EXIT
mkdir "$bundle/rootfs"
cp dist/unikernels/hello.spt "$bundle/rootfs/"

show() {
  printf '\n\033[1m$ %s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi
}

rootless=()
# A user without a login session has no $XDG_RUNTIME_DIR to keep state in.
root=()
if [ "$(id -u)" != 0 ]; then
  rootless=(--rootless)
  [ -n "${XDG_RUNTIME_DIR:-}" ] || root=(--root "$bundle/state")
fi

echo
echo "A bundle is a folder with a rootfs and a config.json; this one's program is a unikernel."
show runnc spec "${rootless[@]}" --bundle BUNDLE -- /hello.spt "from a unikernel"
dist/runnc spec "${rootless[@]}" --bundle "$bundle" -- /hello.spt "from a unikernel"

show runnc inspect BUNDLE/rootfs/hello.spt
dist/runnc inspect "$bundle/rootfs/hello.spt"

show runnc run --bundle BUNDLE demo
dist/runnc "${root[@]}" run --bundle "$bundle" "demo-$$"

echo
echo "What the process may ask of the host; anything else kills it:"
show tender-spt --seccomp-dump BUNDLE/rootfs/hello.spt
dist/tender-spt --seccomp-dump "$bundle/rootfs/hello.spt"

echo
echo "What it asked:"
show tender-spt --trace BUNDLE/rootfs/hello.spt "from a unikernel"
dist/tender-spt --trace "$bundle/rootfs/hello.spt" "from a unikernel"
