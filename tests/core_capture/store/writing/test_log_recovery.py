"""Logs of dead writers: sealed under their names by who has the identity, kept by who has not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from msgspec.structs import replace

from kubeshark.core_capture.store import Identity, NodeKey, Store
from kubeshark.core_capture.store.catalogue._state import Rotation, load_state, save_state
from kubeshark.core_capture.store.places._names import log_name, make_name
from kubeshark.core_capture.store.writing._log import read_log
from tests.core_capture.store._bench import START_NS, Bench, batch, frames, records, udp
from tests.core_capture.store._live import exported, flow_ids, live, log_files, open_ids, until
from tests.core_capture.store._pieces import NAME, make_piece, pieces, put

ITEMS = records(frames())


def test_recover_seals_a_log(bench: Bench) -> None:
    put(bench, pieces(ITEMS, [7, 30]))
    before = open_ids(bench)
    (found,) = bench.open().leftovers()
    assert (found.action, found.name, found.packets, found.is_whole) == ("seal", NAME, 48, True)
    assert len(log_files(bench)) == 3
    (again,), problems = bench.open().recover(key=bench.key)
    assert (again, problems, log_files(bench)) == (found, [], [])
    store = bench.open()
    assert flow_ids(store) == before
    assert exported(store) == ITEMS
    assert store.verify([bench.key.public]).is_sound
    assert store.leftovers() == []


@pytest.mark.parametrize("how", ["import", "capture"])
def test_the_next_writer_seals_what_its_node_left(bench: Bench, how: str) -> None:
    put(bench, pieces(ITEMS, [7, 30]))
    before = open_ids(bench)
    if how == "import":
        bench.writer().finish()
    else:
        with live(bench, store=bench.open()) as writer:
            writer.add(batch(ITEMS[:1]))
            until(lambda: not log_files(bench))
            writer.finish()
    store = bench.open()
    assert {name: ids for name, ids in flow_ids(store).items() if name in before} == before
    names = sorted(int(info.name.rsplit("-", 1)[1]) for info in store.segments())
    assert names == [1, 2]  # the number was taken


@pytest.mark.parametrize("how", ["import", "capture"])
def test_who_has_no_identity_leaves_it(bench: Bench, how: str) -> None:
    put(bench, pieces(ITEMS, [7, 30]))
    left = log_files(bench)
    nobody = Store.open(bench.path, identities=[])
    if how == "import":
        source = replace(bench.source(), sha256="")
        nobody.writer([bench.me.recipient], source=source, key=bench.key).finish()
    else:
        with live(bench, store=nobody) as writer:
            writer.add(batch(ITEMS))
            writer.finish()
    assert log_files(bench) == left
    store = bench.open()
    assert [info.name for info in store.segments() if store.is_open(info.name)] == [NAME]
    ((found,), problems) = read_log(bench.backend, [bench.me])
    assert (found.packets, problems) == (48, [])


def test_the_log_of_another_node_is_sealed_by_hand(bench: Bench) -> None:
    put(bench, pieces(ITEMS, []), key=NodeKey.generate())
    bench.writer().finish()
    assert len(log_files(bench)) == 1
    _found, problems = bench.open().recover(key=bench.key)
    assert problems == []
    (info,) = (info for info in bench.open().segments() if info.packets)
    assert (info.name, info.source.name) == (NAME, "eth0 (recovered)")


def test_what_is_damaged_is_seen_by_somebody(bench: Bench) -> None:
    put(bench, pieces(ITEMS, [7, 30]))
    (Path(bench.path) / log_name(NAME, 2)).write_bytes(b"rubbish")
    bench.writer().finish()
    assert len(log_files(bench)) == 3
    (found,), problems = bench.open().recover(key=bench.key)
    assert (found.action, found.packets, found.is_whole) == ("seal", 25, False)
    assert "does not begin as an age file" in found.message
    assert (problems, log_files(bench)) == ([], [])
    assert exported(bench.open()) == [*ITEMS[:7], *ITEMS[30:]]


def test_what_nobody_can_read_stays(bench: Bench) -> None:
    put(Bench(bench.path, Identity.generate(), bench.key), pieces(ITEMS, []))
    put(bench, [make_piece([], name=make_name(START_NS, "node-a", 2))])
    (Path(bench.path) / log_name(make_name(START_NS, "node-a", 3), 1)).write_bytes(b"rubbish")
    found, problems = bench.open().recover(key=bench.key)
    assert [each.action for each in found] == ["locked", "discard", "lost"]
    assert (problems, len(log_files(bench))) == ([], 2)


def test_nothing_is_sealed_during_a_rotation(bench: Bench) -> None:
    """It goes on by number, and would take a segment that comes in between for one that it has done."""
    put(bench, pieces(ITEMS, []))
    state = load_state(bench.backend)
    state.rotation = Rotation([str(bench.me.recipient)])
    save_state(bench.backend, state)
    bench.writer().finish()
    _found, problems = bench.open().recover(key=bench.key)
    assert "rotation" in str(problems[0])
    assert len(log_files(bench)) == 1
    bench.open().rotate_keys([bench.me.recipient])
    assert bench.open().recover(key=bench.key)[1] == []
    assert exported(bench.open()) == ITEMS


def test_a_rotation_takes_the_log_along(bench: Bench) -> None:
    put(bench, pieces(ITEMS, [7]))
    other = Identity.generate()
    assert bench.open().rotate_keys([other.recipient]).problems == []
    ((found,), problems) = read_log(bench.backend, [other])
    assert (found.packets, problems) == (48, [])
    assert read_log(bench.backend, [bench.me])[0] == []


def test_a_log_whose_segment_is_there_goes(bench: Bench) -> None:
    with live(bench) as writer:
        writer.add(batch(ITEMS))
        (draft,) = writer.open_drafts()
        writer.finish()
    put(bench, [make_piece(ITEMS, name=draft.name)])
    assert bench.open().info().leftovers == (log_name(draft.name, 1),)
    assert read_log(bench.backend, [bench.me]) == ([], [])
    bench.writer().finish()
    assert log_files(bench) == []


@pytest.mark.parametrize("tail", [bytes(1000), b"x" * 70_000, bytes(3)])
def test_what_lies_behind_a_piece_costs_no_packet(tail: bytes, bench: Bench) -> None:
    put(bench, pieces(ITEMS, [7, 30]))
    with (Path(bench.path) / log_name(NAME, 3)).open("ab") as file:
        file.write(tail)
    (segment,), (problem,) = read_log(bench.backend, [bench.me])
    assert (segment.packets, problem.kind) == (len(ITEMS), "damaged")
    assert f"its packets are whole, the {len(tail):,} bytes behind them are none of its own" in problem.message
    (found,), problems = bench.open().recover(key=bench.key)
    assert (found.action, found.packets, found.is_whole, problems) == ("seal", len(ITEMS), False, [])
    assert exported(bench.open()) == ITEMS
    assert lost(bench) == 0
    assert not [*Path(bench.path).glob("*.damaged")]


def test_a_large_piece_with_something_behind_it(bench: Bench) -> None:
    noise = random.Random(3)
    items = records([udp("10.0.0.1", 1, "10.0.0.2", 53, noise.randbytes(1000)) for _ in range(200)])
    put(bench, pieces(items, []))
    path = Path(bench.path) / log_name(NAME, 1)
    assert path.stat().st_size > 1 << 16
    with path.open("ab") as file:
        file.write(bytes(100_000))
    assert bench.open().recover(key=bench.key)[1] == []
    assert exported(bench.open()) == items


@pytest.mark.parametrize("places", [{1: 7}, {2: 9, 3: 8}, {1: 3, 3: 1}])
def test_pieces_under_other_numbers_are_taken_from_where_they_lie(places: dict[int, int], bench: Bench) -> None:
    put(bench, pieces(ITEMS, [7, 30, 40]))
    folder = Path(bench.path)
    content = {place: (folder / log_name(NAME, number)).read_bytes() for number, place in places.items()}
    for number in places:
        (folder / log_name(NAME, number)).unlink()
    for place, data in content.items():
        (folder / log_name(NAME, place)).write_bytes(data)
    (found,), problems = bench.open().recover(key=bench.key)
    assert (found.packets, found.is_whole, problems, log_files(bench)) == (len(ITEMS), True, [], [])
    assert exported(bench.open()) == ITEMS
    assert lost(bench) == 0


def test_a_copy_of_a_piece_is_no_second_one(bench: Bench) -> None:
    put(bench, pieces(ITEMS, [7]))
    folder = Path(bench.path)
    (folder / log_name(NAME, 3)).write_bytes((folder / log_name(NAME, 1)).read_bytes())
    (found,), problems = bench.open().recover(key=bench.key)
    assert (found.packets, found.is_whole, problems) == (len(ITEMS), False, [])
    assert exported(bench.open()) == ITEMS


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_what_is_known_to_be_missing_counts_as_lost(how: str, number: int, bench: Bench) -> None:
    put(bench, pieces(ITEMS, [7, 30]))
    path = Path(bench.path) / log_name(NAME, number)
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(b"rubbish")
    missing = [7, 23][number - 1]
    (seen,) = bench.open().leftovers()
    assert f"; {missing} packets are lost" in seen.message
    assert bench.open().recover(key=bench.key) == ([seen], [])
    assert (lost(bench), seen.is_whole) == (missing, False)
    aside = path.with_name(f"{path.name}.damaged")
    assert aside.exists() == (how == "damaged")
    assert not aside.exists() or aside.read_bytes() == b"rubbish"
    report = bench.open().verify([bench.key.public])
    assert [finding.file for finding in report.findings] == ([aside.name] if how == "damaged" else [])
    assert report.is_sound


def test_what_was_sealed_before_is_not_missing(bench: Bench) -> None:
    """A capture died in its second segment, whose log lost its first piece; its first segment was sealed or was not."""
    second = make_name(START_NS, "node-a", 2)
    made = pieces(ITEMS, [20, 30, 40])
    put(bench, made[:1])
    put(bench, [replace(piece, segment=second, number=at) for at, piece in enumerate(made[1:], start=1)])
    (Path(bench.path) / log_name(second, 1)).unlink()
    first, other = bench.open().leftovers()
    assert (first.is_whole, first.packets, other.packets) == (True, 20, 18)
    assert "; 10 packets are lost" in other.message
    bench.open().recover(key=bench.key)
    assert lost(bench) == 10


def lost(bench: Bench) -> int:
    (row,) = bench.open().overview().captures
    assert row.counters is not None
    return row.counters.lost
