"""Open segments read from their log: whole, with pieces missing, torn, forged, or sealed while somebody reads."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture.store import Identity, NodeKey
from kubeshark.core_capture.store.places._names import log_name, make_name, open_names
from kubeshark.core_capture.store.segments._info import Chain, Counters
from kubeshark.core_capture.store.segments._segment import publish, write_segment
from kubeshark.core_capture.store.writing import _log as log_module
from kubeshark.core_capture.store.writing._log import LogReader, read_log
from kubeshark.core_capture.store.writing._piece import Origin
from tests.core_capture.store._bench import START_NS, Bench, batch, frames, records
from tests.core_capture.store._pieces import NAME, SECRET, make_piece, pieces, put

ITEMS = records(frames())


def test_pieces_are_put_together(bench: Bench) -> None:
    put(bench, pieces(ITEMS, [7, 8, 30]))
    (found,), problems = read_log(bench.backend, [bench.me])
    draft = found.draft
    assert (problems, found.packets, found.public_key) == ([], len(ITEMS), bench.key.public)
    assert (draft.name, bytes(draft.data)) == (NAME, b"".join(ITEMS))
    assert draft.ordinals.tolist() == list(range(len(ITEMS)))
    assert sorted(draft.extras) == list(range(0, len(ITEMS), 4))
    assert (draft.first_block, draft.metadata.blocks) == (0, [SECRET])
    assert draft.source.counters == Counters(received=51, dropped=3, stored=48)
    assert (draft.source.first_ordinal, draft.source.last_ordinal, draft.source.blocks) == (0, 47, 1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(ITEMS)), max_size=5).map(sorted))
def test_cut_points_do_not_matter(cuts: list[int], tmp_path_factory: pytest.TempPathFactory, me: Identity) -> None:
    bench = Bench(tmp_path_factory.mktemp("cuts"), me, NodeKey.generate())
    put(bench, pieces(ITEMS, cuts))
    (found,), problems = read_log(bench.backend, [me])
    whole = pieces(ITEMS, [])[0]
    assert problems == []
    assert bytes(found.draft.data) == whole.data
    assert found.draft.ordinals.tolist() == whole.ordinals.tolist()
    assert {at: extra.interface for at, extra in found.draft.extras.items()} == dict.fromkeys(whole.extras, 1)


def test_sealed_from_its_log_a_segment_has_the_same_flows(bench: Bench) -> None:
    with bench.writer(replace(bench.source(), sha256="", name="eth0")) as writer:
        writer.add(batch(ITEMS))
        writer.finish()
    (info,) = bench.open().segments()
    assert info.name == NAME
    with bench.open().open_segment(NAME) as segment:
        rows = segment.flows
    other = Bench(bench.path.parent / "other", bench.me, bench.key)  # type: ignore[union-attr]
    put(other, pieces(ITEMS, [3, 11]))
    (found,), _problems = read_log(other.backend, [bench.me])
    write_segment(
        other.backend,
        found.draft,
        Chain(0, "", bench.key.public),
        core=load_core(),
        recipients=[bench.me.recipient],
        key=bench.key,
    )
    publish(other.backend, NAME)
    with other.open().open_segment(NAME) as segment:
        assert (segment.flows == rows).all()
        assert segment.extras.counters == found.draft.counters
    assert read_log(other.backend, [bench.me]) == ([], [])  # it has its index: the log is of no value


def test_missing_torn_and_forged_pieces_are_reported(bench: Bench) -> None:
    made = pieces(ITEMS, [5, 10, 15, 20, 25])
    put(bench, made)
    put(bench, [made[3]], key=NodeKey.generate())  # number 4
    folder = Path(bench.path)
    (folder / log_name(NAME, 2)).unlink()
    (folder / log_name(NAME, 5)).rename(folder / log_name(NAME, 7))
    torn = folder / log_name(NAME, 6)
    torn.write_bytes(torn.read_bytes()[:-1])
    (found,), problems = read_log(bench.backend, [bench.me])
    assert [(problem.kind, problem.name) for problem in problems] == [
        ("missing", NAME),
        ("forged", log_name(NAME, 4)),
        ("missing", NAME),
        ("damaged", log_name(NAME, 6)),
        ("forged", log_name(NAME, 7)),
    ]
    assert found.draft.ordinals.tolist() == [*range(5), *range(10, 15)]
    assert str(problems[0]) == f"{NAME}: piece 2 of its log is missing"


def test_pieces_that_contradict_each_other(bench: Bench) -> None:
    first, second = pieces(ITEMS, [10])
    for wrong in (
        replace(second, ordinals=np.arange(9, 9 + 38, dtype=np.uint64)),
        replace(second, link_type=113),
        replace(second, origin=Origin("eth1")),
        replace(second, first_block=0),
        replace(second, metadata=replace(second.metadata, interfaces=[]), extras={}),
    ):
        put(bench, [first, wrong])
        (found,), (problem,) = read_log(bench.backend, [bench.me])
        assert (found.packets, problem.kind) == (10, "damaged")


def test_a_follower_reads_only_what_is_new(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pieces(ITEMS, [10, 20])
    put(bench, made[:1])
    reader = LogReader(bench.backend, [bench.me])
    (before,) = reader.read()
    early = before.draft
    put(bench, made[1:])
    opened: list[int] = []
    original = log_module.decode_piece
    monkeypatch.setattr(
        log_module, "decode_piece", lambda *args, **named: opened.append(named["number"]) or original(*args, **named)
    )
    (after,) = reader.read()
    assert (opened, len(early.ordinals), after.packets) == ([2, 3], 10, len(ITEMS))
    assert reader.read(without=[NAME]) == []


def test_sealed_while_somebody_reads(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    put(bench, pieces(ITEMS, [10]))
    folder, listing = Path(bench.path), os.scandir

    def sealed_meanwhile(path: Path) -> object:
        found = listing(path)
        monkeypatch.setattr(os, "scandir", listing)
        entries = [*found]
        for entry in entries:
            Path(entry.path).unlink()
        (folder / f"{NAME}.idx.age").touch()
        return _Entries(entries)

    monkeypatch.setattr(os, "scandir", sealed_meanwhile)
    assert read_log(bench.backend, [bench.me]) == ([], [])


class _Entries(list[object]):
    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_log_for_somebody_else(bench: Bench) -> None:
    put(bench, pieces(ITEMS, []))
    found, problems = read_log(bench.backend, [Identity.generate()])
    assert (found, [problem.kind for problem in problems]) == ([], ["locked"])


def test_a_log_larger_than_a_reader_holds(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [make_name(START_NS, "node-a", number) for number in (1, 2, 3)]
    put(bench, [make_piece(ITEMS, name=name) for name in names])
    monkeypatch.setattr(log_module, "MAX_LOG_BYTES", 2 * len(b"".join(ITEMS)))
    found, problems = read_log(bench.backend, [bench.me])
    assert [segment.name for segment in found] == names[:2]
    assert [(problem.kind, problem.name) for problem in problems] == [("left out", names[2])]
    monkeypatch.setattr(log_module, "MAX_OPEN_BYTES", 100)
    found, problems = read_log(bench.backend, [bench.me])
    assert (found, {problem.kind for problem in problems}) == ([], {"damaged"})


def test_names() -> None:
    listed = [log_name(NAME, 2), log_name(NAME, 1), log_name(NAME[:-1] + "2", 1), f"{NAME}.idx.age", "x.000001.log.age"]
    assert open_names(listed) == {NAME[:-1] + "2": [1]}
    assert open_names(listed[:3]) == {NAME: [1, 2], NAME[:-1] + "2": [1]}
