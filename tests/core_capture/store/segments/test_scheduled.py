"""What schedules say of segments: it lasts, is believed of whom it should be, and retention keeps to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kubeshark.core_capture.store import Identity, NodeKey, Retention, Scheduled, Store, _housekeeper
from kubeshark.core_capture.store.catalogue._ledger import load_ledger
from kubeshark.core_capture.store.places._local import LocalBackend
from kubeshark.core_capture.store.places._names import LEDGER, SCHEDULED, number_of
from kubeshark.core_capture.store.segments._marks import load_marks
from kubeshark.errors import UsageError
from tests.core_capture.store._bench import START_NS, Bench, batch, frames, records
from tests.core_capture.store._live import NS, exported, live, log_files, until

DAY_S = 86_400
NIGHTLY = Scheduled(("nightly",), keep_s=30 * DAY_S, as_store=False)
HOURLY = Scheduled(("hourly",), keep_s=2 * DAY_S, as_store=False, archived=False)
BOTH = Scheduled(("nightly", "hourly"), keep_s=30 * DAY_S, as_store=False)
PLAIN = Scheduled(("plain",))


def items(count: int, start_ns: int) -> list[bytes]:
    return records(frames(flows=2, packets=count)[:count], start_ns=start_ns)


class Clock:
    """The wall clock of retention."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = START_NS
        monkeypatch.setattr(_housekeeper._Clock, "now_ns", lambda _: self.now)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def marks_of(bench: Bench) -> list[Scheduled | None]:
    return [info.scheduled for info in bench.open().segments()]


def windows(bench: Bench, *marks: Scheduled | None, apart_ns: int = 60 * NS, **options: object) -> Store:
    """Capture ten packets in each of these windows, one after the other."""
    with live(bench, **options) as writer:
        for number, mark in enumerate(marks):
            since_ns = START_NS + number * apart_ns
            writer.turn(mark, since_ns)
            writer.add(batch(items(10, since_ns + NS), first=10 * number))
        writer.finish()
    return bench.open()


def test_segments_end_where_windows_do(bench: Bench) -> None:
    store = windows(bench, NIGHTLY, BOTH, HOURLY)
    assert marks_of(bench) == [NIGHTLY, BOTH, HOURLY]
    assert [info.packets for info in store.segments()] == [10, 10, 10]
    assert len(exported(store)) == 30
    assert store.verify([bench.key.public]).is_sound
    assert list(load_marks(bench.backend, {bench.key.public}).values()) == [NIGHTLY, BOTH, HOURLY]


def test_packets_of_before_that_are_read_after(bench: Bench) -> None:
    with live(bench) as writer:
        writer.turn(NIGHTLY, START_NS)
        writer.add(batch(items(5, START_NS + NS)))
        writer.turn(HOURLY, START_NS + 10 * NS)
        writer.add(batch([*items(3, START_NS + 10 * NS), *items(4, START_NS + 9 * NS)], first=5))
        assert [len(draft.ordinals) for draft in writer.open_drafts()] == [9, 3]
        writer.tick(0)
        writer.tick(NS)
        assert writer.counters.segments == 0  # what is under way may yet come
        writer.tick(3 * NS)
        until(lambda: writer.counters.segments == 1)  # long before 300 s
        writer.add(batch(items(2, START_NS + 9 * NS), first=12))  # later than anybody thought
        writer.tick(4 * NS)
        writer.tick(7 * NS)
        until(lambda: writer.counters.segments == 2)
        writer.turn(None, START_NS + 20 * NS)
        writer.tick(8 * NS)
        writer.tick(11 * NS)
        until(lambda: writer.counters.segments == 3)
    found = {info.packets: info.scheduled for info in bench.open().segments()}
    assert found == {9: NIGHTLY, 2: NIGHTLY, 3: HOURLY}


def test_what_is_written_into_lent_memory_goes_where_it_belongs(bench: Bench) -> None:
    """The kernel's packets are read straight into the memory of the segment that fills."""
    with live(bench) as writer:
        writer.turn(NIGHTLY, START_NS)
        writer.add(batch(items(2, START_NS + NS)))
        writer.turn(HOURLY, START_NS + 10 * NS)
        writer.add(batch(items(2, START_NS + 10 * NS), first=2))
        data = b"".join([*items(2, START_NS + 9 * NS), *items(3, START_NS + 11 * NS)])
        room = writer.room(1, len(data))
        assert room is not None
        room[: len(data)] = data
        one = batch([], first=4, ordinals=range(4, 9))
        writer.add(type(one)(1, room[: len(data)], range(4, 9), {}))
        writer.finish()
    store = bench.open()
    assert {info.scheduled: info.packets for info in store.segments()} == {NIGHTLY: 4, HOURLY: 5}
    wanted = [*items(2, START_NS + NS), *items(2, START_NS + 9 * NS)]
    assert sorted(exported(store)) == sorted([*wanted, *items(2, START_NS + 10 * NS), *items(3, START_NS + 11 * NS)])


def test_without_schedules_nothing_is_written_of_them(bench: Bench) -> None:
    windows(bench, None)
    assert marks_of(bench) == [None]
    assert not (Path(bench.path) / SCHEDULED).exists()


def test_the_catalogue_knows_them(bench: Bench) -> None:
    store = windows(bench, NIGHTLY, PLAIN, None, BOTH)
    store.write_catalogue()
    for path in Path(bench.path).glob("*.idx.age"):
        path.write_bytes(b"")  # nothing but the catalogue can tell
    assert marks_of(bench) == [NIGHTLY, PLAIN, BOTH]


@pytest.mark.parametrize(
    ("mark", "store_days", "goes_after"),
    [
        (NIGHTLY, None, 30),
        (NIGHTLY, 7, 30),  # longer than the store says
        (NIGHTLY, 90, 30),  # and shorter
        (HOURLY, 7, 2),
        (BOTH, 7, 30),
        (PLAIN, 7, 7),  # as the store says
        (PLAIN, None, None),
        (Scheduled(("a", "b"), keep_s=2 * DAY_S), 7, 7),  # of two, one is kept as the store says
        (Scheduled(("a", "b"), keep_s=9 * DAY_S), 7, 9),
        (Scheduled(("a", "b"), keep_s=2 * DAY_S), None, None),
    ],
)
def test_how_long_it_is_kept(mark: Scheduled, store_days: int | None, goes_after: int | None) -> None:
    last_ns = START_NS
    for days in (1, 3, 8, 10, 31, 91, 1000):
        now_ns = last_ns + days * DAY_S * NS
        before_ns = None if store_days is None else now_ns - store_days * DAY_S * NS
        wanted = goes_after is not None and days > goes_after
        assert mark.is_too_old(last_ns, now_ns, before_ns) is wanted, days


def test_a_node_without_identity_lets_go_what_expired_also_after_a_restart(bench: Bench, clock: Clock) -> None:
    windows(bench, NIGHTLY, HOURLY, PLAIN, None)
    names = [info.name for info in bench.open().segments()]
    clock.now = START_NS + 3 * DAY_S * NS
    with live(bench) as writer:  # no limits, no schedules any more: what was promised holds
        until(lambda: writer.counters.pruned == 1)
    assert [info.name for info in bench.open().segments() if info.packets] == [names[0], *names[2:]]
    clock.now = START_NS + 31 * DAY_S * NS
    with live(bench, retention=Retention(max_age_ns=60 * DAY_S * NS)) as writer:
        until(lambda: writer.counters.pruned == 1)
    assert [info.name for info in bench.open().segments() if info.packets] == names[2:]
    assert bench.open().verify([bench.key.public]).is_sound


def test_longer_than_the_store_says_but_room_counts(bench: Bench, clock: Clock) -> None:
    windows(bench, NIGHTLY, PLAIN)
    clock.now = START_NS + 8 * DAY_S * NS
    with live(bench, retention=Retention(max_age_ns=7 * DAY_S * NS)) as writer:
        until(lambda: writer.counters.pruned == 1)
    assert [mark for mark in marks_of(bench) if mark] == [NIGHTLY]
    store = bench.open()
    assert store.prune(Retention(before_ns=clock.now), key=bench.key, dry_run=True).is_over is False
    gone = store.prune(Retention(max_bytes=1), key=bench.key)
    assert [info.scheduled for info in gone.segments] == [NIGHTLY]


def test_snapshots_keep_what_expired(bench: Bench, clock: Clock) -> None:
    store = windows(bench, HOURLY)
    store.add_snapshot("incident", START_NS, START_NS + 3600 * NS, recipients=[bench.me.recipient])
    done = store.prune(Retention(expired=True), key=bench.key)  # years later, by the real clock
    assert (done.segments, done.is_over, list(done.kept_by)) == ((), True, ["incident"])
    clock.now = START_NS + 3 * DAY_S * NS
    with live(bench) as writer:  # who cannot read snapshots deletes nothing
        until(lambda: "retention" in writer.problem)
        assert writer.counters.pruned == 0
    store.delete_snapshot("incident", recipients=[bench.me.recipient])
    assert len(store.prune(Retention(expired=True), key=bench.key).segments) == 1


def test_prune_by_hand(bench: Bench) -> None:
    store = windows(bench, NIGHTLY, PLAIN)
    assert [info.scheduled for info in store.prune(Retention(expired=True), key=bench.key).segments] == [NIGHTLY]
    assert marks_of(bench)[0] == PLAIN
    with pytest.raises(UsageError, match="goes as a whole"):
        Retention(expired=True, capture=store.capture_named(store.segments()[0].source.name))


CHILD = """
import sys, time
from pathlib import Path
from kubeshark.core_capture.store import NodeKey
from tests.core_capture.store.segments import test_scheduled as here
from tests.core_capture.store._bench import START_NS, batch
from tests.core_capture.store._live import NS
folder, recipient, key = sys.argv[1:]
from kubeshark.core_capture.store import SourceInfo, Store
from kubeshark.core_capture._records import Interface, SourceMetadata
metadata = SourceMetadata("pcapng", interfaces=[Interface(1, 262_144, 10**9, name="eth0")])
store = Store.open(folder, identities=[], create=True)
writer = store.live_writer([recipient], source=SourceInfo("eth0", metadata=metadata), node="node-a",
                           key=NodeKey.load(Path(key)), segment_bytes=1 << 20)
for number, mark in enumerate((here.NIGHTLY, here.HOURLY)):
    writer.turn(mark, START_NS + number * 60 * NS)
    writer.add(batch(here.items(10, START_NS + number * 60 * NS + NS), first=10 * number))
assert writer.flush()
print("flushed", flush=True)
time.sleep(600)
"""


@pytest.fixture
def killed(tmp_path: Path, me: Identity, root: Path) -> Bench:
    """A capture that was killed with two windows in its log."""
    key = NodeKey.load_or_create(tmp_path / "node.key")
    command = [sys.executable, "-c", CHILD, str(tmp_path / "store"), str(me.recipient), str(tmp_path / "node.key")]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"flushed\n"
        child.send_signal(signal.SIGKILL)
    return Bench(tmp_path / "store", me, key)


def test_killed_it_is_in_the_log_and_in_what_is_made_of_it(killed: Bench) -> None:
    assert len(log_files(killed)) == 2
    assert marks_of(killed) == [NIGHTLY, HOURLY]  # readers see open segments
    trusted = {killed.key.public}
    assert list(load_marks(killed.backend, trusted).values()) == [NIGHTLY, HOURLY]  # and who reads nothing does, too
    _found, problems = killed.open().recover(key=killed.key)
    assert (problems, log_files(killed)) == ([], [])
    assert marks_of(killed) == [NIGHTLY, HOURLY]
    assert [number_of(info.name) in load_marks(killed.backend, trusted) for info in killed.open().segments()] == [
        True
    ] * 2
    assert [info.scheduled for info in killed.open().prune(Retention(expired=True), key=killed.key).segments] == [
        NIGHTLY,
        HOURLY,
    ]


def test_the_next_capture_takes_no_number_of_the_dead_one(killed: Bench) -> None:
    """Whose number had a mark and whose packets never came."""
    numbers = set(load_marks(killed.backend, {killed.key.public}))
    for name in log_files(killed):
        killed.backend.delete(name)
    with live(killed) as writer:
        writer.add(batch(items(3, START_NS)))
        writer.finish()
    assert numbers.isdisjoint({number_of(info.name) for info in killed.open().segments()})
    assert marks_of(killed) == [None]


def test_marks_go_with_their_segments(bench: Bench) -> None:
    windows(bench, HOURLY, NIGHTLY, PLAIN)
    bench.open().prune(Retention(expired=True), key=bench.key)
    windows(bench, BOTH)
    assert set(load_marks(bench.backend, {bench.key.public}).values()) == {PLAIN, BOTH}


def test_a_damaged_file_frees_nothing_that_was_not_to_be_uploaded(bench: Bench, clock: Clock) -> None:
    windows(bench, HOURLY)
    (Path(bench.path) / SCHEDULED).write_bytes(b"{}")
    clock.now = START_NS + 3 * DAY_S * NS
    windows(bench, PLAIN)
    marks = load_marks(bench.backend, {bench.key.public})
    assert [(mark.schedules, mark.archived) for mark in marks.values()] == [(("unknown",), False), (("plain",), True)]
    assert marks_of(bench)[0] == HOURLY  # its index still says so


def test_a_mark_that_cannot_be_written_keeps_packets_from_lasting(bench: Bench) -> None:
    bench.open()

    class Full(LocalBackend):
        is_full = True

        def replace(self, name: str, data: bytes, *, version: str | None = None, temporary: str | None = None) -> str:
            if name == SCHEDULED and self.is_full:
                raise OSError(28, "No space left on device")
            return super().replace(name, data, version=version, temporary=temporary)

    files = Full(Path(bench.path))
    with live(bench, store=Store(files, [])) as writer:
        writer.turn(NIGHTLY, START_NS)
        writer.add(batch(items(5, START_NS + NS)))
        assert not writer.flush()
        assert "cannot write the log" in writer.problem
        assert (writer.acknowledged, log_files(bench)) == (0, [])
        files.is_full = False
        assert writer.flush()
        assert writer.acknowledged == 5
    assert marks_of(bench)[0] == NIGHTLY


def test_older_stores_and_ledgers_are_read(bench: Bench) -> None:
    """What an older writer wrote has no marks, and what this one wrote an older reader passes over."""
    windows(bench, None)
    ledger = load_ledger(bench.backend, bench.key)
    assert [entry.info.scheduled for entry in ledger] == [None]
    assert b"schedule" not in bench.backend.read(LEDGER, 1 << 20).data
