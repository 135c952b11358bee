from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource
from kubeshark.pipeline._memory import keep_freed_memory
{tune}
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
for _ in range(20):
    blocks = [b"x" * (256 << 10) for _ in range(45)]  # what a segment's selection takes
    del blocks
print(faults() - before)
"""


def page_faults(tune: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(tune=tune)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_buffers_are_used_again() -> None:
    assert page_faults("keep_freed_memory()") < page_faults("") / 2
