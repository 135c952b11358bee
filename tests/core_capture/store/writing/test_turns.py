"""Packets go to the schedules that were open at their time, whatever the order in which they are read."""

from __future__ import annotations

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._records import PacketExtra, RecordBatch
from kubeshark.core_capture.store import Scheduled
from kubeshark.core_capture.store.writing._turns import MAX_TURNS, SETTLED_NS, Turns
from tests.core_capture.store._bench import ARP, START_NS, batch, record

NS = 1_000_000_000
A, B, AB = Scheduled(("a",)), Scheduled(("b",)), Scheduled(("a", "b"))


def at(*seconds: float) -> list[bytes]:
    return [record(ARP + bytes([number]), START_NS + int(second * NS)) for number, second in enumerate(seconds)]


def parts(turns: Turns, one: RecordBatch) -> list[tuple[list[int], Scheduled | None]]:
    """Return ordinals and mark of each part, having looked whether the records are those of the batch."""
    found = list(turns.parts(one, load_core()))
    assert b"".join(bytes(part.data) for part, _mark in found) == bytes(one.data)
    return [(list(part.ordinals), mark) for part, mark in found]


def test_without_turns_nothing_is_marked_and_nothing_copied() -> None:
    turns, one = Turns(), batch(at(0, 1))
    assert [(part is one, mark) for part, mark in turns.parts(one, load_core())] == [(True, None)]
    assert (turns.open, turns.last) == (None, None)


def test_times_say_it() -> None:
    turns = Turns()
    assert turns.turn(A, START_NS)
    assert turns.turn(AB, START_NS + 10 * NS)
    assert not turns.turn(AB, START_NS + 11 * NS)  # no news
    assert parts(turns, batch(at(9, 10, 9.999999999, 10.5), first=5)) == [([5], A), ([6], AB), ([7], A), ([8], AB)]
    assert parts(turns, batch(at(1, 2))) == [([0, 1], A)]
    assert parts(turns, batch(at(-1))) == [([0], A)]  # before the first: nothing else was ever open
    late = batch(at(10 + SETTLED_NS / NS, 9))
    assert parts(turns, late) == [([0, 1], AB)]  # by now a batch is of one time
    assert next(iter(turns.parts(late, load_core())))[0] is late


def test_after_the_last_window_what_comes_is_of_it() -> None:
    turns = Turns()
    turns.turn(A, START_NS)
    assert turns.turn(None, START_NS + 10 * NS)
    assert (turns.open, turns.last) == (None, A)
    assert parts(turns, batch(at(9, 11))) == [([0, 1], A)]
    assert turns.turn(A, START_NS + 20 * NS)  # the next night
    assert {mark for _ordinals, mark in parts(turns, batch(at(9, 21)))} == {A}


def test_a_clock_that_is_put_back_between_two() -> None:
    turns = Turns()
    turns.turn(A, START_NS)
    turns.turn(B, START_NS - 3600 * NS)
    assert parts(turns, batch(at(-3599, -3599.5))) == [([0, 1], B)]


def test_extras_go_along_and_what_is_cut_is_a_copy() -> None:
    turns = Turns()
    turns.turn(A, START_NS)
    turns.turn(B, START_NS + NS)
    items = at(0.5, 1.5, 1.6)
    lent = bytearray(b"".join(items))
    one = RecordBatch(1, memoryview(lent), range(3), {0: PacketExtra(1), 2: PacketExtra(2)})
    (first, _a), (second, _b) = turns.parts(one, load_core())
    assert (first.extras, second.extras) == ({0: PacketExtra(1)}, {1: PacketExtra(2)})
    lent[:] = bytes(len(lent))
    assert bytes(first.data) + bytes(second.data) == b"".join(items)


def test_old_turns_are_forgotten() -> None:
    turns = Turns()
    for number in range(3 * MAX_TURNS):
        turns.turn(B if number % 2 else A, START_NS + number * NS)
    assert len(turns._since_ns) == len(turns._scheduled) == MAX_TURNS
    assert [mark for _ordinals, mark in parts(turns, batch(at(3 * MAX_TURNS - 1.5)))] == [A]
