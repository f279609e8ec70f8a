#!/usr/bin/env bash
# The batteries that are too long for every change; docs/testing.md keeps their counts and dates.
#   npm run test:long [-- FILE...]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh long
scripts/build.sh
if [ $# -eq 0 ]; then set -- 'test/long/**/*.ts'; fi
exec npx mocha --config .mocharc.long.json "$@"
