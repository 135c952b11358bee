"""Blocks kept in memory: never more than the limit, never wrong, and gone when they shall be."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from kubeshark.core_capture.store import Store
from kubeshark.core_capture.store.segments._cache import BlockCache
from tests.core_capture.store._bench import Bench, frames, records


def test_the_oldest_go_first() -> None:
    cache = BlockCache(30)
    for number in range(3):
        cache.put(("a", number), bytes(10))
    assert cache.get(("a", 0)) == bytes(10)  # now 1 is the oldest
    cache.put(("a", 3), bytes(10))
    assert [cache.get(("a", number)) is not None for number in range(4)] == [True, False, True, True]
    assert (cache.stats.hits, cache.stats.misses, cache.stats.blocks, cache.stats.bytes) == (4, 1, 3, 30)


def test_a_block_without_room_is_not_kept_and_drives_none_out() -> None:
    cache = BlockCache(20)
    cache.put(("a", 0), bytes(20))
    cache.put(("a", 1), bytes(21))
    assert (cache.get(("a", 0)), cache.get(("a", 1))) == (bytes(20), None)


def test_the_same_block_twice_counts_once() -> None:
    cache = BlockCache(100)
    cache.put(("a", 0), bytes(10))
    cache.put(("a", 0), bytes(10))
    assert (cache.stats.blocks, cache.stats.bytes) == (1, 10)


def test_clearing_lets_go_of_all() -> None:
    cache = BlockCache(100)
    cache.put(("a", 0), bytes(10))
    cache.clear()
    assert (cache.get(("a", 0)), cache.stats.bytes, cache.stats.blocks) == (None, 0, 0)


def test_many_threads_never_exceed_the_limit() -> None:
    cache = BlockCache(1_000)
    seen: list[int] = []

    def ask(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(0, 50, 2_000).tolist():
            block = cache.get(("a", number))
            if block is None:
                cache.put(("a", number), bytes([number]) * 100)
            elif block != bytes([number]) * 100:
                seen.append(-1)
            seen.append(cache.stats.bytes)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8_000
    assert 0 <= min(seen) <= max(seen) <= 1_000


@pytest.fixture
def filled(bench: Bench) -> Path:
    bench.fill(records(frames(flows=9, packets=250, payload=900)), segment_bytes=16 << 20)  # several blocks
    return Path(bench.path)


def test_what_was_read_once_is_not_decrypted_again(filled: Path, bench: Bench) -> None:
    store = Store.open(filled, identities=[bench.me], cache_bytes=64 << 20)
    (info,) = store.segments()
    with store.open_segment(info.name) as first, store.open_segment(info.name) as second:
        content = bytes(first.select(None))
        assert bytes(second.select(None)) == content
        assert second.records([3]) == first.records([3])
    assert first.stats.kept_indexes == 0
    assert first.stats.blocks > 2
    assert (second.stats.blocks, second.stats.data_bytes, second.stats.index_bytes) == (0, 0, 0)
    assert second.stats.kept_indexes == 1
    assert second.stats.kept_blocks >= first.stats.blocks
    assert store.cache.stats.bytes == info.captured_bytes + 16 * info.packets


def test_a_small_cache_gives_the_same_bytes(filled: Path, bench: Bench) -> None:
    plain = Store.open(filled, identities=[bench.me])
    small = Store.open(filled, identities=[bench.me], cache_bytes=600 << 10)  # two blocks
    (info,) = plain.segments()
    with plain.open_segment(info.name) as without, small.open_segment(info.name) as kept:
        for chosen in (None, np.arange(len(without.flows)) % 2 == 0, np.arange(len(without.flows)) % 3 == 0, None):
            assert bytes(kept.select(chosen)) == bytes(without.select(chosen))
        assert 0 < small.cache.stats.bytes <= 600 << 10
    assert plain.cache.stats.blocks == 0


def test_memory_is_freed_when_asked(filled: Path, bench: Bench) -> None:
    store = Store.open(filled, identities=[bench.me], cache_bytes=64 << 20)
    (info,) = store.segments()
    with store.open_segment(info.name) as segment:
        segment.select(None)
    store.free_memory()
    assert store.cache.stats.bytes == 0
    with store.open_segment(info.name) as segment:
        segment.select(None)
        assert segment.stats.kept_blocks == segment.stats.kept_indexes == 0
