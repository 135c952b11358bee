#!/bin/sh
# Every fuzz target for a while: tests/fuzz/run_all.sh [SECONDS each, default 60]. Needs clang, and atheris for Python.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
tests/fuzz/run_core.sh "$seconds"
.venv/bin/python tests/fuzz/fuzz_files.py -max_total_time="$seconds"
mkdir -p .run/fuzz/store
.venv/bin/python tests/fuzz/fuzz_store.py .run/fuzz/store -max_total_time="$seconds" -artifact_prefix=.run/fuzz/
