"""Captures onto a disk that is full for a while; run by test_live_full_disk.py in a mount namespace of its own.

python _full_disk_child.py FOLDER RETENTION: mounts a small tmpfs on FOLDER, which ends with this process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from kubeshark.core_capture.store import Counters, Identity, NodeKey, Retention, SourceInfo
from tests.core_capture.store._bench import START_NS, Bench, batch, record
from tests.core_capture.store._live import NS, exported, live

DISK_BYTES = 4 << 20
SEGMENT_BYTES = 300_000


def main() -> None:
    folder, with_retention = Path(sys.argv[1]), sys.argv[2] == "retention"
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], check=True, timeout=30)
    bench = Bench(folder / "store", Identity.generate(), NodeKey.generate())
    ballast = folder / "ballast"
    if not with_retention:
        ballast.write_bytes(bytes(2 << 20))
    items = [record(os.urandom(1000), START_NS + at * 1000) for at in range(9000 if with_retention else 3600)]
    retention = Retention(max_bytes=1 << 30) if with_retention else None  # far more than the disk has
    taken: list[bytes] = []
    now = 0
    with live(bench, segment_bytes=SEGMENT_BYTES, retention=retention) as writer:
        for at in range(0, len(items), 25):
            lost = writer.counters.lost_by_disk
            writer.add(batch(items[at : at + 25], first=at))
            if writer.counters.lost_by_disk == lost:
                taken += items[at : at + 25]
            writer.tick(now := now + NS // 2)
            writer.flush()
            if at == 3000 and not with_retention:
                assert writer.counters.lost_by_disk > 0
                assert "No space left" in writer.problem, writer.problem
                ballast.unlink()
                end = time.monotonic() + 30
                while writer.problem:  # what is tried at this moment may fail still: a capture goes on to tick
                    assert time.monotonic() < end, writer.problem
                    writer.tick(now := now + 2 * NS)
                    time.sleep(0.01)
        writer.finish()
        counters = writer.counters
        assert writer.acknowledged == counters.stored == len(taken), (writer.acknowledged, counters)
        assert counters.stored + counters.lost_by_disk == len(items)
        assert writer.interface_counters == (
            Counters(received=len(items), lost=counters.lost_by_disk, stored=counters.stored),
        )
    store = bench.open()
    found = exported(store)
    if with_retention:
        assert counters.pruned > 3
        assert found == taken[-len(found) :]
    else:
        assert found == taken
    report = store.verify([bench.key.public])
    assert report.is_sound, [str(finding) for finding in report.findings]
    assert store.info().leftovers == ()
    assert bench.open().writer([bench.me.recipient], source=SourceInfo("-"), key=bench.key).leftovers == []
    print(counters)


if __name__ == "__main__":
    main()
