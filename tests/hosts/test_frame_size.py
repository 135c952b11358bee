"""Frames grow with results that are small and quick, and a lost bet costs nothing but the time it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api._batch import Batch
from kubeshark.extension_api._frame import (
    ITEM,
    MAX_DISSECT_ITEMS,
    MAX_FRAME_PAYLOAD,
    REQUEST_BYTES,
    REQUEST_HEADER,
    RESULT_BYTES,
    FrameItem,
)
from kubeshark.extension_api._manifest import Manifest
from kubeshark.hosts import ForeignPlugin, PluginState
from kubeshark.hosts._frame_size import CAUTION, MOST_PAYLOAD, FrameSize

HEADS = Path(__file__).parents[2] / "benchmarks" / "heads" / "c"
LONG = b"GET /long HTTP/1.1\r\nHost: shop.example\r\nCookie: " + b"x" * 1900 + b"\r\n\r\n"
SHORT = b"GET / HTTP/1.1\n\n" * 125  # 112 bytes of result for each 16


def grown(memory_mb: int = 256) -> FrameSize:
    size = FrameSize(memory_mb)
    for _ in range(4):
        size.note(size.bounds()[1], 1000, 0.001)
    return size


def test_the_largest_frame_fits_the_memory_for_requests() -> None:
    items, payload = grown().bounds()
    assert payload == MOST_PAYLOAD
    assert REQUEST_HEADER.size + items * (ITEM.size + 7) + payload <= REQUEST_BYTES  # 7: each is aligned


def test_it_stays_small_for_little_memory() -> None:
    assert grown(24).bounds() == (MAX_DISSECT_ITEMS, MAX_FRAME_PAYLOAD)
    assert grown(128).bounds() == (2 * MAX_DISSECT_ITEMS, 2 * MAX_FRAME_PAYLOAD)


def test_small_requests_say_nothing_about_large_ones() -> None:
    size = FrameSize(256)
    size.note(MAX_FRAME_PAYLOAD // 4, 100, 0.0)
    assert not size.is_grown


@pytest.mark.parametrize(("result", "share"), [(RESULT_BYTES // 2, 0.0), (100, 0.5)], ids=["result", "time"])
def test_it_shrinks_before_there_is_no_room(result: int, share: float) -> None:
    size = grown()
    size.note(MOST_PAYLOAD, result, share)
    assert size.bounds()[1] == MOST_PAYLOAD // 2


def test_a_lost_bet_is_not_made_again() -> None:
    size = grown()
    size.lose()
    size.note(MAX_FRAME_PAYLOAD, 100, 0.0)
    assert not size.is_grown


@given(st.lists(st.tuples(st.integers(1, REQUEST_BYTES), st.integers(1, RESULT_BYTES), st.floats(0, 1))))
def test_what_grows_has_room_for_surprises(answers: list[tuple[int, int, float]]) -> None:
    size = FrameSize(256)
    for request, result, share in answers:
        before = size.bounds()[1]
        size.note(request, result, share)
        _, payload = size.bounds()
        assert MAX_FRAME_PAYLOAD <= payload <= MOST_PAYLOAD
        if payload > before:
            assert result * payload / request * CAUTION <= RESULT_BYTES * 1.001
            assert share * payload / request * CAUTION <= 1.001


@pytest.fixture
def plugin(compile_c: Callable[[Path], tuple[Path, Manifest]]) -> Iterator[ForeignPlugin]:
    plugin = ForeignPlugin(*compile_c(HEADS))
    yield plugin
    plugin.close()


def test_results_that_explode_cost_no_message_and_no_blame(plugin: ForeignPlugin) -> None:
    def messages(payload: bytes, count: int) -> int:
        batch = Batch.of([FrameItem(payload, at, flags=3) for at in range(count)])
        return sum(map(len, plugin.columns(batch)))

    assert messages(LONG, 2000) == 2000
    assert plugin.process.frame_size.is_grown
    assert messages(SHORT, 1000) == 125_000  # 14 MB of results: too many for one frame, enough for two
    assert plugin.take_problems() == []
    assert not plugin.process.frame_size.is_grown
    status = plugin.status
    assert (status.state, status.crashes, status.poison, status.starts) == (PluginState.RUNNING, 0, 0, 2)
