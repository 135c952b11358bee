"""A process on some of its processors."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kubeshark.core_capture.live._processors import keep_to_processors

PROGRAM = """
import os, sys, threading
from kubeshark.core_capture.live import keep_to_processors
before = os.sched_getaffinity(0)
chosen = keep_to_processors(float(sys.argv[1]))
found = []
thread = threading.Thread(target=lambda: found.append(os.sched_getaffinity(0)))
thread.start()
thread.join()
assert found == [set(chosen)] and chosen <= before, (found, chosen, before)
print(len(chosen))
"""


@pytest.mark.parametrize(("share", "count"), [("0.25", 1), ("1", 1), ("1.5", 2), ("2", 2), ("9999", 9999)])
def test_it_and_its_threads_run_on_as_many_as_it_takes(share: str, count: int) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, share], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == min(count, len(os.sched_getaffinity(0)))


def test_without_such_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")
    assert keep_to_processors(1) == frozenset()
