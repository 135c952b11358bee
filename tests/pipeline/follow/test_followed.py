"""The connections of a live view: what is told, when they are read again, and who is let go of."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture import FLOW, FlowBit
from kubeshark.pipeline.follow._followed import IDLE_S, READ_SHARE, Connections, Told
from kubeshark.pipeline.follow._settle import QUIET_S, Wait
from kubeshark.pipeline.reading._repeats import SKEW_NS

PART = ("segment", 7)


def flow(*, size: int = 100, bits: int = 0, first_ns: int = 0, last_ns: int = 5, isn: tuple[int, int] = (0, 0)) -> Any:
    row = np.zeros(1, dtype=FLOW)[0]
    row["first_ns"], row["isn"] = first_ns, isn
    row["transport"], row["bits"], row["last_ns"] = 6, bits, last_ns
    row["bytes"] = [size, 0]
    return row


@given(st.lists(st.integers(-1, 40)))
def test_told_numbers_are_remembered(numbers: list[int]) -> None:
    told = Told()
    for number in numbers:
        told.add(number)
    assert {number for number in range(-1, 50) if number in told} == set(numbers)
    assert not any(0 <= number < told.below for number in told.others)


def test_one_that_grew_is_read_at_once_and_again_after_what_its_reading_took() -> None:
    connections = Connections()
    connection = connections.begin(b"k", [PART], -1)
    connection.grow(flow(), 10.0)
    connections.grown(connection)
    assert list(connections.take_due(10.0)) == [connection]
    connection.read_at, connection.cost, connection.has_news = 10.0, 0.5, False
    connection.grow(flow(size=200), 10.1)
    connections.grown(connection)
    assert list(connections.take_due(10.1)) == []
    assert list(connections.take_due(10.0 + READ_SHARE * 0.5)) == [connection]


def test_one_that_waits_is_read_when_it_was_quiet() -> None:
    connections = Connections()
    connection = connections.begin(b"k", [PART], -1)
    connection.grow(flow(), 10.0)
    connection.has_news, connection.waits = False, Wait.DOUBT
    connections.queue(connection)
    assert list(connections.take_due(10.0 + QUIET_S[Wait.DOUBT] - 0.01)) == []
    assert list(connections.take_due(10.0 + QUIET_S[Wait.DOUBT])) == [connection]
    assert connection.patience(10.0 + QUIET_S[Wait.DOUBT]) is Wait.DOUBT


def test_one_that_ended_waits_no_longer_than_for_growth() -> None:
    connection = Connections().begin(b"k", [PART], -1)
    connection.grow(flow(bits=int(FlowBit.FIN_A | FlowBit.FIN_B)), 10.0)
    assert connection.patience(10.0) is Wait.NOTHING
    assert connection.patience(10.0 + QUIET_S[Wait.GROWTH]) is Wait.OVER


def test_sizes_and_bits_add_up_over_parts() -> None:
    connection = Connections().begin(b"k", [PART], -1)
    connection.grow(flow(size=100, bits=int(FlowBit.FIN_A)), 1.0)
    connection.grow(flow(size=150, bits=int(FlowBit.FIN_A)), 2.0)
    connection.add_part(("next", 0))
    connection.grow(flow(size=10, bits=int(FlowBit.FIN_B), last_ns=9), 3.0)
    assert (connection.size, connection.bits, connection.last_ns) == (160, int(FlowBit.FIN_A | FlowBit.FIN_B), 9)


def test_the_quietest_are_let_go_of() -> None:
    connections = Connections(most=2)
    made = []
    for number in range(4):
        connection = connections.begin(bytes([number]), [("s", number)], -1)
        connection.grow(flow(), float(number))
        connections.grown(connection)
        made.append(connection)
    connections.forget(4.0)
    assert [connection.is_gone for connection in made] == [True, True, False, False]
    assert connections.dropped == 2  # nobody had read them
    for connection in made:
        connection.has_news = False
    connections.forget(4.0 + IDLE_S)
    assert (len(connections), connections.dropped) == (0, 2)


def test_what_another_node_saw_is_the_same_if_time_and_beginning_say_so() -> None:
    connection = Connections().begin(b"k", [PART], -1, ["a"])
    connection.grow(flow(isn=(7, 0), last_ns=5), 10.0)
    assert connection.may_be("b", flow(isn=(7, 9), last_ns=5))
    assert not connection.may_be("a", flow(isn=(7, 9), last_ns=5))
    assert not connection.may_be("b", flow(isn=(8, 9), last_ns=5))
    assert not connection.may_be("b", flow(isn=(7, 9), first_ns=SKEW_NS + 6, last_ns=SKEW_NS + 6))
    connection.add_part(("other", 1), "b", is_first=True)
    assert (connection.parts, connection.nodes) == ([("other", 1), PART], ("a", "b"))
    connection.grow(flow(size=30, isn=(7, 9)), 10.1, ("other", 1))
    connection.grow(flow(size=150), 10.2, PART)
    assert (connection.size, connection.isn) == (180, (7, 9))


def test_one_that_is_held_is_not_read_before() -> None:
    connections = Connections()
    connection = connections.begin(b"k", [PART], -1)
    connection.held_until = 11.0
    connection.grow(flow(), 10.0)
    connections.grown(connection)
    assert list(connections.take_due(10.9)) == []
    assert list(connections.take_due(11.0)) == [connection]
