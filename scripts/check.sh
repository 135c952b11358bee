#!/bin/sh
# Types, style and import directions. Every tool runs; the exit status says whether all were content.
cd "$(dirname "$0")/.." || exit 1
failed=0
step() {
    echo "== $*"
    "$@" || failed=1
}
step .venv/bin/ruff check .
step .venv/bin/ruff format --check .
step .venv/bin/hadolint deploy/images/*/Dockerfile
step env PYTHONPATH=typing_root .venv/bin/lint-imports
step env MYPYPATH=typing_root .venv/bin/mypy -p kubeshark
step env MYPYPATH=typing_root .venv/bin/mypy tests/typing/public_api.py
for room in cluster core_capture extension_api firewall hosts hub packages pipeline settings worker cli; do
    step .venv/bin/pyright --pythonpath .venv/bin/python "typing_root/kubeshark/$room"
done
# A checker that looks at nothing reports nothing: a seeded error must be found by both.
step .venv/bin/python scripts/typing_canary.py
exit $failed
