"""Streams become frames: nothing is lost, repeated or reordered, wherever the cuts are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api._frame import (
    MAX_FRAME_ITEMS,
    MAX_FRAME_PAYLOAD,
    MAX_ITEM_BYTES,
    FrameItem,
    FrameMessage,
    ItemFlag,
)
from kubeshark.extension_api._models import Datagram, Endpoint, MessageKind
from kubeshark.hosts._feed import CHUNK_BYTES, Found, ItemResult, Lane, frames, lanes_of


@dataclass
class Side:
    data: memoryview
    gaps: Sequence[tuple[int, int, int]] = ()
    starts_midway: bool = False

    def time_at(self, offset: int) -> int:
        return 1000 + offset


@dataclass
class Flow:
    sides: tuple[Side, ...] = ()
    datagrams: list[Datagram] = field(default_factory=list)
    order: list[tuple[int, int, int]] = field(default_factory=list)
    transport: str = "tcp"
    client: Endpoint = field(default_factory=lambda: Endpoint("192.0.2.1", 40000))
    server: Endpoint = field(default_factory=lambda: Endpoint("192.0.2.2", 7))

    def turns(self) -> list[tuple[int, int, int]]:
        return self.order


def flow(client: bytes, server: bytes = b"", **options: object) -> Flow:
    return Flow((Side(memoryview(client)), Side(memoryview(server))), **options)  # type: ignore[arg-type]


def lines(item: FrameItem) -> ItemResult:
    """A plugin whose messages are lines; it keeps nothing between items."""
    data, messages, start = bytes(item.payload), [], 0
    while (end := data.find(b"\n", start) + 1) > 0:
        messages.append(FrameMessage(0, MessageKind.REQUEST, False, False, start, end, 0, {}, ""))
        start = end
    return ItemResult(start, messages)


def run(lane: Lane) -> list[FrameItem]:
    """Feed a lane to `lines` until it has no more."""
    seen = []
    while items := lane.items():
        for index, item in enumerate(items):
            seen.append(item)
            lane.take(index, lines(item))
        assert len(seen) < 10_000
    return seen


def found(lane: Lane) -> list[tuple[int, int, int, str]]:
    return [(one.direction, one.start, one.end, one.error) for one in lane.found]


def test_a_side_is_one_item_with_first_and_last() -> None:
    client, server = lanes_of(flow(b"ab\ncd\nrest", b"x\n"), 3, turns=False)
    (item,) = run(client)
    assert (item.stream, item.direction, item.flags, item.base) == (3, 0, ItemFlag.FIRST | ItemFlag.LAST, 0)
    assert (item.client_port, item.server_port, item.time_ns, item.transport) == (40000, 7, 1000, 6)
    assert found(client) == [(0, 0, 3, ""), (0, 3, 6, "")]
    run(server)
    assert found(server) == [(1, 0, 2, "")]


def test_an_empty_side_is_no_item() -> None:
    client, server = lanes_of(flow(b""), 0, turns=False)
    assert (run(client), run(server)) == ([], [])


def test_what_is_longer_than_a_chunk_is_fed_in_parts() -> None:
    line = b"x" * (CHUNK_BYTES // 2) + b"\n"
    (client, _) = lanes_of(flow(line * 10), 0, turns=False)
    items = run(client)
    assert [item.base for item in items] == [at * len(line) for at in range(10)]
    assert max(len(item.payload) for item in items) == CHUNK_BYTES
    assert [bool(item.flags & ItemFlag.LAST) for item in items] == [False] * 9 + [True]
    assert found(client) == [(0, at * len(line), (at + 1) * len(line), "") for at in range(10)]


def test_a_message_that_is_longer_than_a_chunk_gets_more() -> None:
    line = b"x" * 999_999 + b"\n"
    (client, _) = lanes_of(flow(line * 10), 0, turns=False)
    items = run(client)
    assert [len(item.payload) for item in items[:3]] == [CHUNK_BYTES, 2 * CHUNK_BYTES, 4 * CHUNK_BYTES]
    assert len(items[3].payload) == CHUNK_BYTES
    assert found(client) == [(0, i * 1_000_000, (i + 1) * 1_000_000, "") for i in range(10)]


def test_a_message_that_never_ends_is_given_up() -> None:
    (client, _) = lanes_of(flow(b"x" * (MAX_ITEM_BYTES + 1)), 0, turns=False)
    assert [len(item.payload) for item in run(client)] == [CHUNK_BYTES << n for n in range(5)]
    assert found(client) == [(0, 0, MAX_ITEM_BYTES + 1, "a message of more than 4,194,304 bytes")]


def test_a_gap_ends_one_run_and_marks_the_next() -> None:
    data = b"ab\ncd" + bytes(4) + b"ef\ngh\n"
    side = Side(memoryview(data), gaps=[(5, 9, 4000)], starts_midway=True)
    (client, _) = lanes_of(Flow((side, Side(memoryview(b"")))), 0, turns=False)
    items = run(client)
    assert [bytes(item.payload) for item in items] == [b"ab\ncd", b"ef\ngh\n"]
    assert [item.flags for item in items] == [ItemFlag.FIRST | ItemFlag.GAP, ItemFlag.GAP | ItemFlag.LAST]
    assert items[1].base == 9
    assert found(client) == [
        (0, 0, 3, ""),
        (0, 3, 5, "gap: 4,000 bytes were not captured"),
        (0, 9, 12, ""),
        (0, 12, 15, ""),
    ]


def test_turns_come_by_arrival_and_the_rest_again() -> None:
    stream = flow(b"a\nb\n", b"1\n2\n", order=[(0, 0, 1), (1, 0, 2), (0, 1, 4), (1, 2, 4)])
    (lane,) = lanes_of(stream, 0, turns=True)
    assert [(item.direction, bytes(item.payload)) for item in run(lane)] == [
        (0, b"a"),
        (1, b"1\n"),
        (0, b"a\nb\n"),
        (1, b"2\n"),
    ]
    assert found(lane) == [(1, 0, 2, ""), (0, 0, 2, ""), (0, 2, 4, ""), (1, 2, 4, "")]


def test_datagrams_are_items_of_their_own() -> None:
    datagrams = [Datagram(0, 5, memoryview(b"a\n")), Datagram(1, 6, memoryview(b"b"), cut=True)]
    (lane,) = lanes_of(Flow(datagrams=datagrams, transport="udp"), 0, turns=False)
    items = run(lane)
    assert [item.flags for item in items] == [3, 3 | ItemFlag.CUT]
    assert [item.transport for item in items] == [17, 17]
    assert [(one.datagram, one.start, one.end) for one in lane.found] == [(0, 0, 2)]


def test_a_failure_ends_a_side_and_costs_one_datagram() -> None:
    client, _ = lanes_of(flow(b"a\nb\n"), 0, turns=False)
    assert client.items()
    client.take(0, "crashed")
    assert client.items() == []
    assert client.found == [Found(0, 0, 0, 4, None, "crashed")]
    datagrams = [Datagram(0, 5, memoryview(b"a\n")) for _ in range(3)]
    (lane,) = lanes_of(Flow(datagrams=datagrams, transport="udp"), 0, turns=False)
    for index, item in enumerate(lane.items()):
        lane.take(index, "crashed" if index == 1 else lines(item))
    assert [(one.datagram, one.error) for one in lane.found] == [(0, ""), (1, "crashed"), (2, "")]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_cut_points_do_not_matter(data: bytes, cuts: list[int]) -> None:
    data = data.replace(b"a", b"\n")
    expected, _ = lanes_of(flow(data), 0, turns=False)
    run(expected)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    order = [(0, start, end) for start, end in pairwise(edges)]
    (lane,) = lanes_of(flow(data, order=order), 0, turns=True)
    run(lane)
    assert found(lane) == found(expected)


@given(st.lists(st.integers(0, 3 * MAX_FRAME_PAYLOAD // 2), max_size=30), st.integers(0, 600))
def test_frames_keep_order_and_limits(lengths: list[int], small: int) -> None:
    whole = memoryview(bytes(2 * MAX_FRAME_PAYLOAD))
    items = [FrameItem(whole[:length]) for length in [*lengths, *[1] * small]]
    parts = [items[part] for part in frames(items)]
    assert [item for part in parts for item in part] == items
    for part in parts:
        assert 1 <= len(part) <= MAX_FRAME_ITEMS
        assert len(part) == 1 or sum(len(item.payload) for item in part) <= MAX_FRAME_PAYLOAD


@pytest.mark.parametrize("starts", [True, False])
def test_a_side_that_starts_midway_says_so(starts: bool) -> None:
    side = Side(memoryview(b"x\n"), starts_midway=starts)
    client, _ = lanes_of(Flow((side, Side(memoryview(b"")))), 0, turns=False)
    (item,) = run(client)
    assert bool(item.flags & ItemFlag.GAP) is starts
