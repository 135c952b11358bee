"""Logs of dead writers: sealed under their names by who has the identity, kept by who has not."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from kubeshark.core_capture.store import Identity, NodeKey, Store
from kubeshark.core_capture.store.catalogue._state import Rotation, load_state, save_state
from kubeshark.core_capture.store.places._names import log_name, make_name
from kubeshark.core_capture.store.writing._log import read_log
from tests.core_capture.store._bench import START_NS, Bench, batch, frames, records
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
