#!/usr/bin/env bash
# Sets up, builds, lints and runs the whole suite. `npx mocha FILE` runs one file of a built tree.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
  echo "test: the suite starts its own dockerd, podman and containerd, so it runs as root" >&2
  exit 1
fi
scripts/setup.sh test
scripts/build.sh
npm run --silent lint
npx tsc --noEmit -p .
if [ $# -eq 0 ]; then set -- 'src/**/*.test.ts' 'runnc/**/*.test.ts' 'test/**/*.test.ts'; fi
exec npx mocha "$@"
