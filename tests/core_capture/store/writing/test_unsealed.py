"""Open segments read like sealed ones: index, ranges, blocks, extras; looked at while they grow and are sealed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kubeshark.core_capture import PortBetween, load_core
from kubeshark.core_capture.store import NodeKey, Store, StoreInfo
from kubeshark.core_capture.store.places._names import log_name
from kubeshark.core_capture.store.segments._info import Chain
from kubeshark.core_capture.store.segments._segment import publish, write_segment
from kubeshark.core_capture.store.writing._log import read_log
from kubeshark.core_capture.store.writing._unsealed import UnsealedIndex, UnsealedReader
from kubeshark.errors import StoreError
from tests.core_capture.store._bench import START_NS, Bench, frames, records
from tests.core_capture.store._pieces import NAME, pieces, put

ITEMS = records(frames(flows=40, packets=60, payload=300))  # more than a block


def seal(bench: Bench, count: int) -> None:
    """Make a segment of the log, and remove its `count` pieces."""
    (found,), problems = read_log(bench.backend, [bench.me])
    assert problems == []
    chain = Chain(0, "", bench.key.public)
    core, to = load_core(), [bench.me.recipient]
    write_segment(bench.backend, found.draft, chain, core=core, recipients=to, key=bench.key)
    publish(bench.backend, NAME)
    for number in range(1, count + 1):
        bench.backend.delete(log_name(NAME, number))


def test_it_reads_as_it_will_when_it_is_sealed(bench: Bench) -> None:
    put(bench, pieces(ITEMS, [7, 800]))
    store = bench.open()
    (info,) = store.segments()
    assert store.is_open(NAME)
    with store.open_segment(NAME) as opened:
        assert isinstance(opened, UnsealedReader)
        seal(bench, 3)
        with bench.open().open_segment(NAME) as sealed:
            assert not isinstance(sealed, UnsealedReader)
            assert sealed.info.stored_bytes > 0
            assert (opened.flows == sealed.flows).all()
            rows = np.arange(len(sealed.flows))
            assert list(map(bytes, opened.records(rows))) == list(map(bytes, sealed.records(rows)))
            assert bytes(opened.select(None)) == bytes(sealed.select(None))
            data, order, starts = opened.gathered(rows[::3])
            expected = sealed.gathered(rows[::3])
            assert (bytes(data), order.tolist(), starts.tolist()) == (
                bytes(expected[0]),
                expected[1].tolist(),
                expected[2].tolist(),
            )
            asked = PortBetween("dst", 53, 53)
            assert opened.match(asked).tolist() == sealed.match(asked).tolist()
            assert opened.extras.metadata == sealed.extras.metadata
            assert opened.extras.packets == sealed.extras.packets
            assert (info.packets, info.flows, info.first_ns, info.last_ns, info.source) == (
                sealed.info.packets,
                sealed.info.flows,
                sealed.info.first_ns,
                sealed.info.last_ns,
                sealed.info.source,
            )
    assert opened.stats.data_bytes == 0  # nothing was decrypted for it
    assert opened.stats.kept_bytes >= len(b"".join(ITEMS))


def test_it_grows_and_is_replaced(bench: Bench) -> None:
    made = pieces(ITEMS[:90], [30, 60])
    store = bench.open()
    put(bench, made[:1])
    assert [info.packets for info in store.segments()] == [30]
    first = store.open_segment(NAME)
    put(bench, made[1:])
    with store.open_segment(NAME) as again:
        assert again.info.packets == 30  # of the last listing
    assert [info.packets for info in store.segments()] == [90]
    assert first.info.packets == 30
    told = store.info()
    assert isinstance(told, StoreInfo)
    assert (told.segments, told.open_segments, told.packets, told.first_ns) == (1, 1, 90, START_NS)
    assert [row.packets for row in store.overview().captures] == [90]
    seal(bench, 3)
    assert [info.packets for info in store.segments()] == [90]
    assert not store.is_open(NAME)
    assert store.info().open_segments == 0


def test_who_was_only_given_a_name_opens_it(bench: Bench) -> None:
    put(bench, pieces(ITEMS[:20], []))
    with bench.open().open_segment(NAME) as opened:
        assert opened.info.packets == 20
    with pytest.raises(StoreError, match="no segment"):
        bench.open().open_segment(NAME.replace("-0001", "-0002"))


def test_what_is_wrong_with_the_log_is_told(bench: Bench) -> None:
    put(bench, pieces(ITEMS[:20], [10]))
    put(bench, [pieces(ITEMS[:30], [10, 20])[2]], key=NodeKey.generate())
    store = bench.open()
    assert [info.packets for info in store.segments()] == [20]
    assert "is signed by node key" in str(store.problems[0])


def test_an_import_does_not_take_it_for_stored(bench: Bench) -> None:
    put(bench, pieces(ITEMS[:20], []))
    assert bench.open().import_state("").packets == 0


def test_freed_memory_is_read_again(bench: Bench, tmp_path: Path) -> None:
    put(bench, pieces(ITEMS[:20], []))
    store = bench.open()
    store.segments()
    store.free_memory()
    with store.open_segment(NAME) as opened:
        assert opened.info.packets == 20
    assert Store.open(tmp_path / "none", identities=[bench.me], create=True).segments() == []


def test_an_index_of_nothing(bench: Bench) -> None:
    put(bench, pieces(ITEMS[:1], []))
    (found,), _ = read_log(bench.backend, [bench.me])
    index = UnsealedIndex(found.draft, load_core())
    assert len(index.index.flows) == 1
    assert index.block(0) == ITEMS[0]
