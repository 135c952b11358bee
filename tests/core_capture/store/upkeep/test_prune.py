"""Retention deletes what is oldest, keeps what it must, and may die anywhere."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from kubeshark.core_capture.store import CaptureKey, Identity, NodeKey, NotForUsError, Retention, Store, export
from kubeshark.core_capture.store.catalogue._state import load_state
from kubeshark.core_capture.store.places._local import LocalBackend
from kubeshark.core_capture.store.places._names import index_names, size_of
from kubeshark.errors import Damaged, StoreError, UsageError
from tests.core_capture.store._bench import START_NS, Bench, batch, records, udp
from tests.core_capture.store._dying import deaths

HOUR_NS = 3_600_000_000_000


@pytest.fixture
def five(bench: Bench) -> Bench:
    """Five segments, an hour apart; the third comes first in time."""
    for number in (1, 2, 0, 3, 4):
        packets = [udp("10.0.0.1", number + 1, "10.0.0.2", 53, bytes(50))] * 3
        bench.fill(records(packets, start_ns=START_NS + number * HOUR_NS))
    return bench


def names(bench: Bench) -> list[str]:
    return [info.name for info in bench.open().segments()]


def prune(bench: Bench, *, dry_run: bool = False, **limits: int) -> list[str]:
    done = bench.open().prune(Retention(**limits), dry_run=dry_run, key=bench.key)
    return [info.name for info in done.segments]


def problems(bench: Bench) -> list[str]:
    return [str(finding) for finding in bench.open().verify([bench.key.public]).findings if finding.kind != "note"]


def test_by_age(five: Bench) -> None:
    before = names(five)
    limit = START_NS + 2 * HOUR_NS
    assert prune(five, before_ns=limit, dry_run=True) == before[:2]
    assert names(five) == before
    assert prune(five, before_ns=limit) == before[:2]
    assert names(five) == before[2:]
    assert problems(five) == []
    assert prune(five, before_ns=limit) == []


def test_by_bytes(five: Bench) -> None:
    before = names(five)
    files = five.backend.sizes()
    sizes = [size_of(files, name) for name in before]
    limit = sum(sizes[3:])
    done = five.open().prune(Retention(max_bytes=limit), key=five.key)
    assert [info.name for info in done.segments] == before[:3]
    assert (done.freed_bytes, done.kept_bytes, done.is_over) == (sum(sizes[:3]), limit, False)
    assert names(five) == before[3:]
    assert problems(five) == []


def test_everything_and_then_a_new_segment(five: Bench) -> None:
    assert len(prune(five, max_bytes=0)) == 5
    assert names(five) == []
    assert problems(five) == []
    five.fill(records([udp("10.0.0.9", 1, "10.0.0.2", 53)]))
    assert problems(five) == []
    assert len(names(five)) == 1
    (record,) = load_state(five.backend).removed
    assert (record.first, record.last, record.why) == (0, 4, "pruned")


def test_the_catalogue_forgets(five: Bench) -> None:
    gone = prune(five, before_ns=START_NS + 3 * HOUR_NS)
    from kubeshark.core_capture.store.catalogue._catalogue import load_catalogue

    listed = {entry.info.name for entry in load_catalogue(five.backend, [five.me], listed=9)}
    assert listed == set(names(five))
    assert not listed & set(gone)


def test_a_writer_that_only_removes_has_the_catalogue_forget(five: Bench) -> None:
    from kubeshark.core_capture.store.catalogue._catalogue import load_catalogue

    store = five.open()
    store.segments()  # all of them are known
    gone = load_catalogue(five.backend, [five.me], listed=9)[0]
    for file in five.path.glob(f"{gone.info.name}.*"):
        file.unlink()
    store._finish([], [gone], (five.me.recipient,))
    listed = {entry.info.name for entry in load_catalogue(five.backend, [five.me], listed=9)}
    assert listed == set(names(five)) and gone.info.name not in listed


def test_a_limit_is_needed() -> None:
    with pytest.raises(UsageError, match="max-bytes"):
        Retention()


def test_snapshots_keep(five: Bench) -> None:
    before = names(five)
    store = five.open()
    store.add_snapshot("incident", START_NS + HOUR_NS - 5, START_NS + HOUR_NS)
    done = store.prune(Retention(before_ns=START_NS + 3 * HOUR_NS), key=five.key)
    assert [info.name for info in done.segments] == [before[0], before[2]]
    assert done.kept_by == {"incident": (before[1],)}
    assert done.is_over
    local = NodeKey.load()
    assert local is not None  # it signed the snapshot
    assert five.open().verify([five.key.public, local.public]).is_sound
    store.delete_snapshot("incident")
    assert prune(five, before_ns=START_NS + 3 * HOUR_NS) == [before[1]]
    assert len(load_state(five.backend).removed) == 1


def test_nothing_goes_where_snapshots_cannot_be_read(five: Bench) -> None:
    stranger = Identity.generate()
    five.open().add_snapshot("theirs", 0, 1, recipients=[stranger.recipient])
    with pytest.raises(NotForUsError):
        prune(five, max_bytes=0)
    (five.path / "snapshots.age").write_bytes(b"?")
    with pytest.raises(Damaged):
        prune(five, max_bytes=0)
    assert len(names(five)) == 5


def test_what_cannot_be_read_stays(five: Bench) -> None:
    bad = names(five)[0]
    (five.path / f"{bad}.idx.age").write_bytes(b"?")
    done = five.open().prune(Retention(max_bytes=0), key=five.key)
    assert bad not in [info.name for info in done.segments]
    assert [str(problem) for problem in done.problems] == [
        f"{bad}.idx.age: damaged: does not begin as an age file at byte 0"
    ]
    assert done.is_over
    assert index_names(five.backend.names()) == [bad]


def test_a_lying_catalogue_deletes_nothing(five: Bench) -> None:
    from msgspec.structs import replace

    from kubeshark.core_capture.store.catalogue._catalogue import load_catalogue, save_catalogue

    lies = [
        replace(entry, info=replace(entry.info, last_ns=0))
        for entry in load_catalogue(five.backend, [five.me], listed=9)
    ]
    save_catalogue(five.backend, lies, [five.me.recipient])
    assert prune(five, before_ns=START_NS - HOUR_NS) == []


def test_a_source_is_forgotten_with_its_last_packets(bench: Bench) -> None:
    """A segment that only says "complete" goes with the rest of its source, and the source may come again."""
    source = bench.source()
    items = records([udp("10.0.0.1", 1, "10.0.0.2", 53)] * 3)
    with bench.writer(source) as writer:
        writer.add(batch(items))
    with bench.writer(source) as writer:
        writer.finish()
    assert [info.packets for info in bench.open().segments()] == [0, 3]
    assert len(prune(bench, before_ns=START_NS + HOUR_NS)) == 2
    assert not bench.open().import_state(source.sha256).complete


def test_exports_go_on_without_the_first_segments(bench: Bench) -> None:
    packets = [udp("10.0.0.1", number + 1, "10.0.0.2", 53, bytes(50)) for number in range(40)]
    items = records(packets, step_ns=HOUR_NS)
    bench.fill(items, segment_bytes=1_000)
    prune(bench, before_ns=START_NS + 15 * HOUR_NS)
    left = sum(info.packets for info in bench.open().segments())
    out = io.BytesIO()
    export(bench.open(), out, form="pcap")
    assert 0 < left < 40
    assert out.getvalue()[24:] == b"".join(items[-left:])


def test_dying_at_any_point(five: Bench, tmp_path: Path) -> None:
    before = names(five)
    limits = Retention(before_ns=START_NS + 3 * HOUR_NS)

    def act(path: Path) -> None:
        Store.open(path, identities=[five.me]).prune(limits, key=five.key)

    points = 0
    for path, _died in deaths(five.path, tmp_path / "runs", act):
        points += 1
        store = Store.open(path, identities=[five.me])
        assert {*before[3:]} <= {info.name for info in store.segments()} <= set(before)
        assert store.problems == []
        for info in store.segments():
            with store.open_segment(info.name) as segment:
                assert len(segment.select(None)) == info.packets * 108
        assert [str(f) for f in store.verify([five.key.public]).findings if f.kind != "note"] == []
        act(path)
        assert [info.name for info in Store.open(path, identities=[five.me]).segments()] == before[3:]
        assert store.verify([five.key.public]).is_sound
        assert not [p.name for p in path.iterdir() if p.name.startswith(".tmp-")]
        assert not store.info().leftovers
    assert points > 12


def test_many_go_in_batches(five: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """store.json has a limit; dying between two batches leaves a sound store."""
    from kubeshark.core_capture.store.upkeep import _leftovers

    monkeypatch.setattr(_leftovers, "_BATCH", 2)

    def act(path: Path) -> None:
        Store.open(path, identities=[five.me]).prune(Retention(max_bytes=0), key=five.key)

    left = set[int]()
    for path, _died in deaths(five.path, tmp_path / "runs", act):
        store = Store.open(path, identities=[five.me])
        left.add(len(store.segments()))
        assert store.verify([five.key.public]).is_sound
    assert left >= {5, 3, 1, 0}


def test_a_deletion_that_died_is_ended_by_the_next_writer(five: Bench, tmp_path: Path) -> None:
    before = names(five)
    for path, _died in deaths(
        five.path,
        tmp_path / "runs",
        lambda path: Store.open(path, identities=[five.me]).prune(Retention(max_bytes=0), key=five.key),
    ):
        state = load_state(LocalBackend(path))
        Bench(path, five.me, five.key, sources=90).fill()
        left = [info.name for info in Store.open(path, identities=[five.me]).segments()]
        assert len(left) == (1 if state.deleting or state.removed else 1 + len(before))
        assert Store.open(path, identities=[five.me]).verify([five.key.public]).is_sound


def test_a_forged_record_excuses_nothing(five: Bench) -> None:
    name = names(five)[1]
    prune(five, before_ns=START_NS + HOUR_NS)
    state = (five.path / "store.json").read_text()
    (five.path / "store.json").write_text(state.replace('"first": 2', '"first": 0'))
    for path in five.path.glob(f"{name}.*"):
        path.unlink()
    assert [finding.kind for finding in five.open().verify([five.key.public]).findings] == [
        "forged",
        "missing",
        "missing",
    ]


def test_records_of_another_node_are_unknown(five: Bench) -> None:
    other = NodeKey.generate()
    five.open().prune(Retention(before_ns=START_NS + HOUR_NS), key=other)
    (finding,) = five.open().verify([five.key.public]).findings
    assert finding.kind == "unknown"
    assert ": pruned, last on " in finding.message
    assert five.open().verify([five.key.public, other.public]).is_sound


def test_a_pruned_segment_that_is_back(five: Bench) -> None:
    name = names(five)[0]
    kept = {path: path.read_bytes() for path in five.path.glob(f"{name}.*")}
    prune(five, before_ns=START_NS + HOUR_NS)
    for path, content in kept.items():
        path.write_bytes(content)
    report = five.open().verify([five.key.public])
    assert report.is_sound
    assert f"note: {name} was removed, and is here again" in map(str, report.findings)


def test_a_writer_keeps_it_out_but_not_a_dry_run(five: Bench) -> None:
    with five.writer():
        with pytest.raises(StoreError, match="another process writes"):
            prune(five, max_bytes=0)
        assert len(prune(five, max_bytes=0, dry_run=True)) == 5
        five.open().add_snapshot("beside", 0, 1)


def test_one_capture_goes_whatever_its_age(five: Bench) -> None:
    before = five.open().segments()
    wanted = before[2].source
    key = five.open().capture_named(wanted.name)
    assert key == CaptureKey(wanted.name, wanted.sha256) == five.open().capture_named(wanted.sha256)
    done = five.open().prune(Retention(capture=key), key=five.key)
    assert [info.name for info in done.segments] == [before[2].name]
    assert not done.is_over
    assert names(five) == [info.name for info in before if info.name != before[2].name]
    assert problems(five) == []
    assert not five.open().import_state(wanted.sha256).complete  # it may come again
    (record,) = load_state(five.backend).removed
    assert record.why == "pruned"
    with pytest.raises(UsageError, match="no capture"):
        five.open().capture_named(wanted.name)


def test_a_snapshot_keeps_its_part_of_a_capture(bench: Bench) -> None:
    source = bench.source()
    for number in range(3):
        with bench.writer(source) as writer:
            packets = records([udp("10.0.0.1", 1, "10.0.0.2", 53)], start_ns=START_NS + number * HOUR_NS)
            writer.add(batch(packets, first=number))
    first, second, third = names(bench)
    bench.open().add_snapshot("incident", START_NS + HOUR_NS, START_NS + HOUR_NS)
    done = bench.open().prune(Retention(capture=CaptureKey(source.name, source.sha256)), key=bench.key)
    assert [info.name for info in done.segments] == [first, third]
    assert done.kept_by == {"incident": (second,)}
    assert done.is_over
    assert names(bench) == [second]


def test_a_capture_without_packets_goes_too(bench: Bench) -> None:
    source = bench.source()
    with bench.writer(source) as writer:
        writer.finish()
    done = bench.open().prune(Retention(capture=CaptureKey(source.name, source.sha256)), key=bench.key)
    assert [info.packets for info in done.segments] == [0]
    assert names(bench) == []


def test_which_of_two_captures_is_asked(bench: Bench) -> None:
    from msgspec.structs import replace

    for number in range(2):
        source = replace(bench.source(), name="twice.pcap", sha256=f"{number}abcdef0" * 8)
        with bench.writer(source) as writer:
            writer.add(batch(records([udp("10.0.0.1", 1, "10.0.0.2", 53)])))
    with pytest.raises(UsageError, match=r"2 captures are called 'twice\.pcap'"):
        bench.open().capture_named("twice.pcap")
    with pytest.raises(UsageError, match="no capture"):
        bench.open().capture_named(source.sha256[:7])  # too short to mean one
    assert bench.open().capture_named(source.sha256[:12].upper()).sha256 == source.sha256


def test_a_capture_and_limits_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="as a whole"):
        Retention(max_bytes=0, capture=CaptureKey("x", ""))
