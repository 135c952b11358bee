#!/bin/sh
# Scores `kubeshark dissect` against captures with known contents; fails below the marks. See docs/scoreboard.md.
#   scripts/scoreboard.sh [--packets] [more options of score.py]
set -eu
cd "$(dirname "$0")/.."
captures=${KUBESHARK_CAPTURES:-../shared/captures}
if [ ! -f "$captures/score.py" ]; then
    echo "scoreboard: no captures at $captures: set KUBESHARK_CAPTURES to a folder with files/, truth/ and score.py"
    exit 0
fi
mkdir -p .run
export KUBESHARK_PLUGINS="$PWD/.run/no-plugins" # the built-in dissectors are scored
PATH="$PWD/.venv/bin:$PATH" .venv/bin/python "$captures/score.py" --kubeshark kubeshark --worst 0 --json .run/score.json "$@"
.venv/bin/python scripts/check_score.py .run/score.json
