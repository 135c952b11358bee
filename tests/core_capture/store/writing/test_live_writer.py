"""A live writer: what is acknowledged, sealed, shown, counted and lost."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from kubeshark.core_capture._records import PacketExtra, RawBlock, RecordBatch
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.store import Identity, LiveWriter, Retention, SegmentInfo, SourceInfo, Store, export
from kubeshark.core_capture.store._housekeeper import _Clock
from kubeshark.core_capture.store.places._local import LocalBackend
from kubeshark.core_capture.store.places._names import log_pieces
from kubeshark.core_capture.store.segments._info import Counters
from kubeshark.core_capture.store.segments._segment import Draft
from kubeshark.core_capture.store.writing._log import read_log
from kubeshark.errors import StoreError, UsageError
from tests.core_capture.store._bench import START_NS, Bench, batch, frames, record, records
from tests.core_capture.store._live import NS, exported, fed, flow_ids, live, log_files, open_ids, until
from tests.core_capture.store._pieces import NAME

ITEMS = records(frames())


class SlowBackend(LocalBackend):
    """A folder whose disk waits, or fails, when a test says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.error: OSError | None = None
        self.failing = (".log.age", ".pcap.zst.age", ".idx.age")

    def create(self, temporary: str) -> AbstractContextManager[BinaryIO]:
        return self._create(temporary)

    @contextmanager
    def _create(self, temporary: str) -> Iterator[BinaryIO]:
        assert self.goes_on.wait(30)
        if self.error is not None and temporary.endswith(self.failing):
            raise self.error
        with super().create(temporary) as file:
            yield file


def slow(bench: Bench) -> tuple[Store, SlowBackend]:
    bench.open()
    files = SlowBackend(Path(bench.path))
    return Store(files, []), files


def test_of_a_capture_that_nothing_came_to_nothing_is_kept(bench: Bench) -> None:
    with live(bench) as writer:
        writer.tick(0)
        writer.finish()
    assert bench.open().segments() == []
    assert not any(name.endswith(".age") for name in bench.files() if name != "catalogue.age")
    with live(bench) as writer:
        writer.note_counters(received=3, dropped=3)
        writer.finish()
    [info] = bench.open().segments()
    assert (info.packets, info.source.counters.dropped) == (0, 3)  # what was missed is told


def test_log_first_then_a_segment(bench: Bench) -> None:
    with live(bench) as writer:
        fed(writer, ITEMS[:20])
        writer.tick(0)
        assert (writer.acknowledged, log_files(bench)) == (0, [])
        writer.tick(NS // 2)
        until(lambda: writer.acknowledged == 20)
        assert len(log_files(bench)) == 1
        writer.tick(1 * NS)
        writer.tick(100 * NS)
        assert len(log_files(bench)) == 1  # nothing waits, nothing is written
        fed(writer, ITEMS[20:], first=20)
        assert writer.flush()
        assert (writer.acknowledged, len(log_files(bench))) == (len(ITEMS), 2)
        before = open_ids(bench)
        writer.tick(301 * NS)
        until(lambda: writer.counters.segments == 1)
        assert log_files(bench) == []
        assert flow_ids(bench.open()) == before
        writer.finish()
    store = bench.open()
    assert exported(store) == ITEMS
    assert store.verify([bench.key.public]).is_sound
    assert store.info().leftovers == ()


def test_what_is_shown_live_has_the_ids_it_will_have(bench: Bench) -> None:
    with live(bench) as writer:
        fed(writer, ITEMS[:30])
        (early,) = writer.open_drafts()
        data = bytes(early.data)
        fed(writer, ITEMS[30:], first=30)
        (late,) = writer.open_drafts()
        assert (bytes(early.data), len(early.ordinals)) == (data, 30)
        assert bytes(late.data) == b"".join(ITEMS)
        writer.flush()
        ((found,), _problems) = read_log(bench.backend, [bench.me])
        assert (found.name, bytes(found.draft.data)) == (late.name, bytes(late.data))
        writer.finish()
        assert writer.open_drafts() == []
    (info,) = (info for info in bench.open().segments() if info.packets)
    assert info.name == late.name
    for n in range(3):  # the buffer of a draft that somebody holds is not used again
        Bench(Path(bench.path).parent / str(n), bench.me, bench.key).fill()
    assert bytes(early.data) == data


def test_segments_are_sealed_by_size_and_by_time(bench: Bench) -> None:
    sealed: list[SegmentInfo] = []
    with live(bench, segment_bytes=2_000, on_sealed=sealed.append) as writer:
        fed(writer, ITEMS[:40])
        until(lambda: not writer._closed and len(sealed) == writer.counters.segments >= 2)
        writer.tick(0)
        writer.tick(299 * NS)
        count = len(sealed)
        writer.tick(300 * NS)
        until(lambda: len(sealed) == count + 1)
        fed(writer, ITEMS[40:], first=40)
        writer.finish()
    names = [info.name for info in bench.open().segments() if info.packets]
    assert [info.name for info in sealed if info.packets] == names
    assert exported(bench.open()) == ITEMS


def test_link_types_have_segments_of_their_own(bench: Bench) -> None:
    with live(bench, segment_bytes=2_000) as writer:
        for at in range(0, len(ITEMS), 4):
            writer.add(batch(ITEMS[at : at + 4], first=at, link_type=(1, 113, 101)[at // 4 % 3]))
            until(lambda: writer.counters.lost_by_disk == 0 and len(writer._closed) < 1)
        writer.finish()
    store = bench.open()
    assert {info.link_type for info in store.segments()} == {1, 101, 113}
    assert sum(info.packets for info in store.segments()) == len(ITEMS)
    assert store.verify().is_sound


def test_counters_are_kept_in_log_and_segment(bench: Bench) -> None:
    extras = {at: PacketExtra(1) for at in range(5)}
    with live(bench, interfaces=2) as writer:
        writer.add(batch(ITEMS[:10], extras=extras))
        writer.note_counters(received=12, dropped=3, filtered=4)
        writer.note_counters(interface=1, received=6, lost=1)
        writer.flush()
        ((found,), _problems) = read_log(bench.backend, [bench.me])
        expected = (Counters(12, 3, 4, 0, 5), Counters(6, 0, 0, 1, 5))
        assert found.counters == writer.interface_counters == expected
        writer.note_counters(received=20, dropped=10, filtered=4)
        writer.finish()
    (info,) = bench.open().segments()
    assert info.source.counters == Counters(26, 10, 4, 1, 10)
    with bench.open().open_segment(info.name) as segment:
        assert segment.extras.counters == (Counters(20, 10, 4, 0, 5), Counters(6, 0, 0, 1, 5))


def test_an_export_says_what_was_counted(bench: Bench, tool: Callable[[str], str], tmp_path: Path) -> None:
    with live(bench, interfaces=2) as writer:
        writer.add(batch(ITEMS, extras={0: PacketExtra(1)}))
        writer.note_counters(received=60, dropped=7, filtered=3, lost=2)
        writer.note_counters(interface=1, received=1)
        writer.finish()
    with (tmp_path / "out.pcapng").open("wb") as out:
        export(bench.open(), out, form="pcapng")
    with open_capture(tmp_path / "out.pcapng") as reader:
        assert sum(read.count for read in reader) == len(ITEMS)
    first, second = (block for block in reader.metadata.blocks if block.block_type == 5)
    options = {4: 60, 5: 7, 6: 57, 7: 2, 8: 47}
    assert first.body[:4] == bytes(4)
    assert int.from_bytes(first.body[4:8], "little") << 32 | int.from_bytes(first.body[8:12], "little") == (
        START_NS + 47_000
    )
    assert first.body[12:].startswith(b"".join(struct.pack("<HHQ", code, 8, count) for code, count in options.items()))
    assert second.body[:4] == b"\x01\0\0\0"
    told = subprocess.run(
        [tool("capinfos"), tmp_path / "out.pcapng"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert "Number of packets:   48" in told


def test_what_came_after_the_last_packet_is_kept(bench: Bench) -> None:
    with live(bench) as writer:
        fed(writer, ITEMS)
        writer.tick(0)
        writer.tick(300 * NS)
        until(lambda: writer.counters.segments == 1)
        writer.note_counters(received=100, dropped=52)
        writer._source.metadata.blocks.append(RawBlock(10, b"secret", before_ordinal=1))
        writer.finish()
    infos = bench.open().segments()
    last = next(info for info in infos if not info.packets)
    assert (last.source.complete, last.source.blocks) == (True, 1)
    assert last.source.counters == Counters(received=100, dropped=52, stored=48)


def test_blocks_are_logged_once_and_sealed_once(bench: Bench) -> None:
    with live(bench) as writer:
        blocks = writer._source.metadata.blocks
        for number in range(4):
            blocks.append(RawBlock(10, bytes([number]), before_ordinal=number))
            fed(writer, ITEMS[number * 12 : number * 12 + 12], first=number * 12)
            writer.flush()
        ((found,), _problems) = read_log(bench.backend, [bench.me])
        assert [block.body for block in found.draft.metadata.blocks] == [b"\0", b"\1", b"\2", b"\3"]
        writer.finish()
    (info,) = bench.open().segments()
    with bench.open().open_segment(info.name) as segment:
        assert len(segment.extras.metadata.blocks) == 4


@pytest.mark.parametrize(("held", "kept"), [(3, 300), (4, 350)])
def test_a_slow_disk_stops_nothing_and_what_finds_no_room_is_counted(bench: Bench, held: int, kept: int) -> None:
    store, files = slow(bench)
    items = [record(bytes(984), START_NS + at) for at in range(400)]
    with live(bench, store=store, segment_bytes=100_000, held_segments=held) as writer:
        files.goes_on.clear()
        before = time.thread_time()
        fed(writer, items[:350])
        writer.tick(0)
        writer.tick(NS)
        assert time.thread_time() - before < 5
        counters = writer.counters
        assert (counters.stored, counters.lost_by_disk) == (kept, 350 - kept)
        assert writer.acknowledged == 0
        assert sum(len(draft.ordinals) for draft in writer.open_drafts()) == kept
        files.goes_on.set()
        until(lambda: writer.counters.segments >= 2)  # there is room again
        fed(writer, items[350:], first=350)
        writer.finish()
        assert writer.acknowledged == kept + 50
        assert writer.interface_counters == (Counters(received=400, lost=350 - kept, stored=kept + 50),)
    assert exported(bench.open()) == [*items[:kept], *items[350:]]


def test_a_full_disk_is_waited_out(bench: Bench) -> None:
    store, files = slow(bench)
    with live(bench, store=store, segment_bytes=4_000) as writer:
        fed(writer, ITEMS[:5])
        assert writer.flush()
        files.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fed(writer, ITEMS[5:40], first=5)
        writer.tick(0)
        assert not writer.flush()
        until(lambda: "a segment" in writer._problems)
        assert "No space left" in writer.problem
        assert writer.acknowledged == 5
        files.error = None
        fed(writer, ITEMS[40:], first=40)
        assert writer.flush()
        writer.tick(2 * NS)
        until(lambda: writer.counters.segments >= 1)
        assert writer.problem == ""
        writer.finish()
    assert exported(bench.open()) == ITEMS
    assert bench.open().verify().is_sound
    assert not bench.open().info().leftovers


def test_a_disk_that_stays_full_loses_what_it_must_and_says_so(bench: Bench) -> None:
    store, files = slow(bench)
    writer = live(bench, store=store)
    fed(writer, ITEMS[:30])
    assert writer.flush()
    fed(writer, ITEMS[30:], first=30)
    files.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(StoreError, match=r"48 packets are not sealed, 18 of them are lost: .*No space left"):
        writer.finish()
    assert (writer.acknowledged, writer.counters.lost_by_disk) == (30, 18)
    assert writer.interface_counters == (Counters(received=48, lost=18, stored=30),)
    _found, problems = bench.open().recover(key=bench.key)
    assert problems == []
    assert exported(bench.open()) == ITEMS[:30]


def test_segments_that_cannot_be_sealed_stay_in_the_log(bench: Bench) -> None:
    store, files = slow(bench)
    files.failing = (".idx.age",)
    files.error = OSError(errno.EIO, os.strerror(errno.EIO))
    writer = live(bench, store=store)
    fed(writer, ITEMS)
    with pytest.raises(StoreError, match=r"48 packets are not sealed: .*recover"):
        writer.finish()
    assert writer.acknowledged == len(ITEMS)
    before = open_ids(bench)
    bench.writer().finish()  # who has the identity seals what its own node left
    assert {name: ids for name, ids in flow_ids(bench.open()).items() if name in before} == before
    assert exported(bench.open()) == ITEMS
    assert log_files(bench) == []


def test_a_name_that_could_not_be_given_is_given_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    store, files = slow(bench)
    original, failures = files.publish, [2]

    def publish(temporary: str, name: str, *, replacing: bool = False) -> None:
        if name.endswith(".idx.age") and failures[0]:
            failures[0] -= 1
            raise OSError(errno.EIO, "Input/output error")
        original(temporary, name, replacing=replacing)

    monkeypatch.setattr(files, "publish", publish)
    with live(bench, store=store) as writer:
        fed(writer, ITEMS)
        writer.tick(0)
        writer.tick(300 * NS)
        until(lambda: "a segment" in writer._problems)
        writer.tick(302 * NS)
        until(lambda: failures[0] == 0)
        writer.tick(304 * NS)
        until(lambda: writer.counters.segments == 1)
        fed(writer, ITEMS, first=len(ITEMS))
        writer.finish()
    assert bench.open().verify([bench.key.public]).is_sound
    assert sum(info.packets for info in bench.open().segments()) == 2 * len(ITEMS)


def test_one_writer_at_a_time_and_no_folder_to_write(bench: Bench, tmp_path: Path) -> None:
    with live(bench), pytest.raises(StoreError):
        live(bench)
    with pytest.raises(UsageError, match="two segments"):
        live(bench, retention=Retention(max_bytes=1000))
    with pytest.raises(UsageError, match="log every"):
        live(bench, log_seconds=-1)
    writer = live(bench)
    writer.finish()
    with pytest.raises(ValueError, match="finished"):
        writer.add(batch(ITEMS))


def test_a_defect_in_a_thread_is_heard(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = live(bench)
    monkeypatch.setattr(writer._log, "write", lambda _piece: 1 / 0)
    fed(writer, ITEMS)
    assert not writer.flush()
    with pytest.raises(ZeroDivisionError):
        writer.tick()
    with pytest.raises(ZeroDivisionError):
        writer.finish()
    assert exported(bench.open()) == ITEMS


def test_who_hears_of_a_segment_cannot_stop_the_capture(bench: Bench) -> None:
    def refuse(_info: SegmentInfo) -> None:
        raise StoreError("nobody is there")

    with live(bench, on_sealed=refuse) as writer:
        fed(writer, ITEMS)
        writer.tick(0)
        writer.tick(300 * NS)
        until(lambda: "nobody is there" in writer.problem)
        writer.finish()
    assert exported(bench.open()) == ITEMS


@pytest.mark.parametrize("jump_s", [-1_000_000_000, 2_000_000_000, 10**9])
def test_clock_jumps(bench: Bench, jump_s: int) -> None:
    """Packets keep their order, and segments their names in order of number, whatever the clock of packets does."""
    after = records(frames(), start_ns=START_NS + jump_s * NS)
    with live(bench, segment_bytes=3_000) as writer:
        for items, first in ((ITEMS, 0), (after, len(ITEMS))):
            for at in range(0, len(items), 10):
                writer.add(batch(items[at : at + 10], first=first + at))
                until(lambda: len(writer._closed) < 2)
        writer.finish()
    assert exported(bench.open()) == [*ITEMS, *after]
    infos = sorted(bench.open().segments(), key=lambda info: info.source.first_ordinal)
    assert [int(info.name.rsplit("-", 1)[1]) for info in infos] == list(range(1, len(infos) + 1))


def test_a_burst_is_logged_in_pieces(bench: Bench) -> None:
    items = [record(os.urandom(60_000), START_NS + at) for at in range(480)]
    with live(bench, segment_bytes=32 << 20) as writer:
        writer.add(batch(items))
        until(lambda: writer.acknowledged == len(items))
        (numbers,) = log_pieces(log_files(bench)).values()
        assert numbers == [1, 2]
        ((found,), problems) = read_log(bench.backend, [bench.me])
        assert problems == []
        assert bytes(found.draft.data) == b"".join(items)
        writer.finish()
    assert exported(bench.open()) == items


def test_what_was_written_into_its_room_is_not_copied(bench: Bench) -> None:
    first, then, late = ITEMS[:10], ITEMS[10:20], ITEMS[20:30]
    with live(bench, segment_bytes=32 << 20) as writer:
        assert writer.room(1, 1 << 20) is None  # no segment is open
        writer.add(batch(first))
        in_room(writer, then, first=10)
        room = writer.room(1, 1 << 20)
        assert room is not None
        assert writer.room(1, 32 << 20) is None
        data = b"".join(late)
        room[: len(data)] = data
        writer.tick(0)
        writer.tick(10**15)  # closed between the two: then it is copied
        writer.add(RecordBatch(1, room[: len(data)].toreadonly(), range(20, 30)))
        writer.finish()
    assert exported(bench.open()) == [*first, *then, *late]
    assert len(bench.open().segments()) == 2


def test_a_room_that_was_left_empty_harms_nothing(bench: Bench) -> None:
    with live(bench, segment_bytes=32 << 20) as writer:
        writer.add(batch(ITEMS[:1]))
        for at in range(1, 20):
            room = writer.room(1, 1 << 20)
            assert room is not None
            room[:100] = b"x" * 100
            writer.add(batch(ITEMS[at : at + 1], first=at))
        writer.finish()
    assert exported(bench.open()) == ITEMS[:20]


def test_beyond_its_share_of_processors_sealing_waits_as_long_as_there_is_memory(bench: Bench) -> None:
    with live(bench, segment_bytes=1 << 20, cpu=1e-9) as writer:
        for at in range(2):
            writer.add(batch(ITEMS[at * 10 : at * 10 + 10], first=at * 10))
            writer.tick((2 * at) * 10**15)
            writer.tick((2 * at + 1) * 10**15)  # one segment is closed by its age
            if not at:
                assert writer.flush(), "the log does not wait"
                assert writer.counters.segments == 0
        until(lambda: writer.counters.segments == 1, "the second would leave no room for a third")
        writer.tick(10**16)
        assert writer.counters.segments == 1
        writer.add(batch(ITEMS[20:30], first=20))
        writer.finish()
    assert exported(bench.open()) == ITEMS[:30]


def test_memory_that_is_written_into_is_lent_to_nobody_else(bench: Bench) -> None:
    """Its segment is closed, sealed and gone before what lies in its room is added."""
    with live(bench, segment_bytes=32 << 20) as writer:
        writer.add(batch(ITEMS[:10]))
        room = writer.room(1, 1 << 20)
        assert room is not None
        data = b"".join(ITEMS[10:20])
        room[: len(data)] = data
        writer.tick(0)
        writer.tick(10**15)
        until(lambda: writer.counters.segments == 1)
        writer.add(batch(ITEMS[20:40], first=20, link_type=101))  # of another link type: it takes memory of its own
        writer.add(RecordBatch(1, room[: len(data)].toreadonly(), range(40, 50)))
        assert [bytes(draft.data) for draft in writer.open_drafts()] == [b"".join(ITEMS[20:40]), data]
        writer.finish()


def in_room(writer: LiveWriter, items: Sequence[bytes], *, first: int) -> None:
    data = b"".join(items)
    room = writer.room(1, len(data))
    assert room is not None
    room[: len(data)] = data
    writer.add(RecordBatch(1, room[: len(data)].toreadonly(), range(first, first + len(items))))


def stored(bench: Bench) -> int:
    """Bytes of segments; one that is removed meanwhile is none."""
    size = 0
    for path in Path(bench.path).glob("*.age"):
        with contextlib.suppress(FileNotFoundError):
            size += 0 if "catalogue" in path.name else path.stat().st_size
    return size


def test_retention_while_it_captures(bench: Bench) -> None:
    """Of a node without identity: it deletes what it wrote itself, and the chain still holds."""
    items = [record(os.urandom(1000), START_NS + at) for at in range(600)]
    with live(bench, segment_bytes=40_000, retention=Retention(max_bytes=200_000)) as writer:
        for at in range(0, len(items), 20):
            writer.add(batch(items[at : at + 20], first=at))
            until(lambda: len(writer._closed) < 2)
            assert stored(bench) < 260_000
        assert writer.counters.pruned > 5
        assert writer.counters.lost_by_disk == 0
        writer.finish()
    store = bench.open()
    assert exported(store) == items[-sum(info.packets for info in store.segments()) :]
    report = store.verify([bench.key.public])
    assert report.is_sound, [str(finding) for finding in report.findings]


def test_retention_of_what_an_earlier_capture_wrote(bench: Bench) -> None:
    """The node has no identity to read what it wrote: its ledger says what to sign when that goes."""
    items = [record(os.urandom(1000), START_NS + at) for at in range(400)]
    for first in (0, 200):
        with live(bench, segment_bytes=40_000, retention=Retention(max_bytes=150_000)) as writer:
            for at in range(first, first + 200, 20):
                writer.add(batch(items[at : at + 20], first=at))
                until(lambda: len(writer._closed) < 2)
            writer.finish()
    store = bench.open()
    assert stored(bench) <= 150_000
    assert sorted(exported(store)) == sorted(items[-sum(info.packets for info in store.segments()) :])
    report = store.verify([bench.key.public])
    assert report.is_sound, [str(finding) for finding in report.findings]


def test_retention_by_age_and_on_a_full_disk(bench: Bench) -> None:
    store, files = slow(bench)
    now = time.time_ns()
    old, new = records(frames(), start_ns=now - 3600 * NS), records(frames(), start_ns=now)
    with live(bench, store=store, segment_bytes=8_000, retention=Retention(max_age_ns=1800 * NS)) as writer:
        fed(writer, old)
        writer.tick(0)
        writer.tick(300 * NS)
        until(lambda: writer.counters.segments == 1)
        fed(writer, new, first=len(old))
        writer.tick(301 * NS)
        writer.tick(601 * NS)
        until(lambda: writer.counters.pruned == 1)
        until(lambda: writer.counters.segments == 2)
        files.error, files.failing = OSError(errno.ENOSPC, "No space left on device"), (".pcap.zst.age",)
        fed(writer, new, first=2 * len(old))
        writer.tick(602 * NS)
        writer.tick(902 * NS)
        until(lambda: writer.counters.pruned == 2)  # the disk is full: the oldest goes
        files.error = None
        writer.finish()
    assert [info.packets for info in bench.open().segments() if info.packets] == [48]
    assert bench.open().verify([bench.key.public]).is_sound


def test_snapshots_are_kept_by_who_cannot_read_them(bench: Bench) -> None:
    bench.open().add_snapshot("all", 0, 1 << 62)
    with live(bench, segment_bytes=2_000, retention=Retention(max_bytes=4_000)) as writer:
        for at in range(0, len(ITEMS), 10):
            writer.add(batch(ITEMS[at : at + 10], first=at))
            until(lambda: len(writer._closed) < 2)
        assert "retention" in writer.problem
        writer.finish()
    assert exported(bench.open()) == ITEMS


def test_a_clock_that_jumps_ahead_deletes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"wall": 1_000_000 * NS, "steady": 50 * NS}
    monkeypatch.setattr(time, "time_ns", lambda: now["wall"])
    monkeypatch.setattr(time, "monotonic_ns", lambda: now["steady"])
    clock = _Clock()

    def passed(steady_s: int, wall_s: int) -> int:
        now["steady"] += steady_s * NS
        now["wall"] += wall_s * NS
        return clock.now_ns() // NS - 1_000_000

    assert passed(60, 60) == 60
    assert passed(60, 10**9) == 120
    assert passed(60, 60) == 180
    assert passed(3600, 3600) == 10**9 + 60 + 60 + 3600  # it has lasted an hour
    assert passed(10, -(10**9) + 10) == 60 + 60 + 3600 + 10  # and back


def test_numbers_that_leave_no_numbers(bench: Bench) -> None:
    bench.fill(ITEMS[:1])
    for name in (f"{NAME[:-4]}{10**17}.000001.log.age", f"{NAME[:-4]}{'9' * 18}.idx.age"):
        (Path(bench.path) / name).touch()
    with live(bench) as writer:
        fed(writer, ITEMS)
        (draft,) = writer.open_drafts()
        assert draft.name == NAME[:-1] + "2"
        writer.finish()


def test_nothing_of_what_is_written_can_be_read_here(bench: Bench) -> None:
    with live(bench) as writer:
        fed(writer, ITEMS)
        writer.flush()
        found, (problem,) = read_log(bench.backend, [Identity.generate()])
        assert (found, problem.kind) == ([], "locked")
        writer.finish()


def test_drafts_are_drafts(bench: Bench) -> None:
    with live(bench) as writer:
        assert writer.open_drafts() == []
        fed(writer, ITEMS[:3])
        (draft,) = writer.open_drafts()
        assert isinstance(draft, Draft)
        assert draft.data.readonly
        assert draft.source.name.startswith("eth0 since 2")
        writer.finish()


def test_a_source_with_a_hash_is_continued_behind_what_is_there(bench: Bench) -> None:
    source = SourceInfo("x.pcap", sha256="ab" * 32)

    def begin() -> LiveWriter:
        return bench.open().live_writer([bench.me.recipient], source=source, key=bench.key)

    with begin() as writer:
        fed(writer, ITEMS[:20])
    with begin() as writer:
        fed(writer, ITEMS)
        assert writer.skipped == 20
        writer.finish(1234)
    with begin() as writer:
        fed(writer, ITEMS)
        writer.finish(1234)
    infos = bench.open().segments()
    assert [(info.packets, info.source.name, info.source.complete, info.source.size) for info in infos] == [
        (20, "x.pcap", False, -1),
        (len(ITEMS) - 20, "x.pcap", True, 1234),
    ]
    state = bench.open().import_state("ab" * 32)
    assert (state.packets, state.complete, state.size) == (len(ITEMS), True, 1234)
    assert [info.source.counters for info in infos] == [None, None]


def test_who_can_wait_loses_nothing(bench: Bench) -> None:
    size = len(batch(ITEMS).data)
    with live(bench, segment_bytes=size) as writer:
        for first in range(0, 50 * len(ITEMS), len(ITEMS)):
            while not writer.wait_for_room(size, 1.0):
                writer.tick()
            fed(writer, ITEMS, first=first)
        writer.finish()
        assert writer.counters.lost_by_disk == 0
    assert sum(info.packets for info in bench.open().segments()) == 50 * len(ITEMS)
