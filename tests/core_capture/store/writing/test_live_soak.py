"""A day of capturing on a clock of its own: memory, descriptors and folder stay bounded, and every count is exact."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest

from kubeshark.core_capture.store import Counters, Retention
from tests.core_capture.store._bench import START_NS, Bench, batch, record
from tests.core_capture.store._live import NS, exported, live, log_files, until

TICK_S = 20
PACKETS_A_TICK = 40
SEGMENT_S = 300
MAX_BYTES = 3_000_000


def resident() -> int:
    """Return bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("hours", [2, pytest.param(24, marks=pytest.mark.slow)])
def test_a_day(bench: Bench, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # the disk's pace is another test's
    ticks = hours * 3600 // TICK_S
    seen: list[tuple[int, int]] = []
    segment_files = 0
    others = set(threading.enumerate())
    with live(bench, segment_seconds=SEGMENT_S, retention=Retention(max_bytes=MAX_BYTES)) as writer:
        for tick in range(ticks):
            first = tick * PACKETS_A_TICK
            times = (START_NS + (tick * TICK_S * NS) + n * NS // 3 for n in range(PACKETS_A_TICK))
            items = [record(os.urandom(400), at) for at in times]
            writer.add(batch(items, first=first))
            writer.note_counters(received=first + PACKETS_A_TICK, dropped=tick)
            writer.tick(tick * TICK_S * NS)
            assert writer.flush()
            until(lambda: len(writer._closed) == 0)
            segment_files = max(segment_files, len(list(Path(bench.path).iterdir())))
            assert len(log_files(bench)) <= SEGMENT_S // TICK_S + 1
            if tick % (ticks // 8) == 0:
                gc.collect()
                seen.append((resident(), descriptors()))
        counters = writer.counters
        assert writer.problem == ""
        writer.finish()
        assert writer.acknowledged == ticks * PACKETS_A_TICK
        assert writer.interface_counters == (Counters(ticks * PACKETS_A_TICK, ticks - 1, 0, 0, ticks * PACKETS_A_TICK),)
    assert counters.lost_by_disk == 0
    assert counters.segments >= hours * 3600 // SEGMENT_S - 1
    assert seen[-1][1] - seen[0][1] < counters.segments // 3  # other tests of the process come and go
    assert seen[-1][0] - seen[2][0] < 16 << 20, [each // 1024 for each, _fds in seen]
    assert set(threading.enumerate()) <= others
    kept = sum(path.stat().st_size for path in Path(bench.path).glob("*.age") if path.name != "catalogue.age")
    assert kept <= MAX_BYTES
    assert segment_files < 2 * 120 + 40
    store = bench.open()
    report = store.verify([bench.key.public])
    assert report.is_sound, [str(finding) for finding in report.findings]
    packets = exported(store)
    assert len(packets) == sum(info.packets for info in store.segments())
    assert packets[-1] == items[-1]
    assert counters.pruned > 5 * hours
