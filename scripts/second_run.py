"""Runs again, alone and three times, the few tests that `make test` just saw fail; called by .ci/run.

Eleven thousand tests with real servers, clocks and processes run three at a time on a machine that others use, too: one
that loses a race there and passes alone is said by its name, to be mended, and is no reason to refuse everything else.
What fails twice is a failure, and so are more than `MOST`, and a run that ended before its tests did.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST, TIMES = 4, 3
CACHE = Path(".pytest_cache/v")


def main() -> int:
    try:
        ran_all = json.loads((CACHE / "kubeshark" / "ran_all").read_text())  # written by tests/conftest.py
        failed = sorted(json.loads((CACHE / "cache" / "lastfailed").read_text()))
    except FileNotFoundError:
        ran_all, failed = False, []
    if not ran_all or not 0 < len(failed) <= MOST:
        print(f"{len(failed)} tests failed, or some were not run or skipped: no second run", file=sys.stderr)
        return 1
    print("failed once, run again alone:", *failed, sep="\n  ", flush=True)
    again = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-m", "not slow and not images", *failed]
    for _ in range(TIMES):
        if code := subprocess.run(again, check=False).returncode:
            return code
    print("passed alone, so they race with something:", *failed, sep="\n  ", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
