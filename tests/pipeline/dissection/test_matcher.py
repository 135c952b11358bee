from __future__ import annotations

from kubeshark.extension_api import Message, MessageKind
from kubeshark.pipeline.dissection._matcher import Timed, pair

REQUEST, RESPONSE, EVENT = MessageKind.REQUEST, MessageKind.RESPONSE, MessageKind.EVENT


def timed(kind: MessageKind, order: int, **more: object) -> Timed:
    direction = 1 if kind == RESPONSE else 0
    return Timed(Message(kind, direction, order, order + 1, **more), order, order, order)  # type: ignore[arg-type]


def shape(*messages: Timed, matcher: str = "fifo") -> list[tuple[int | None, ...]]:
    halves = [(e.request, e.response, e.event) for e in pair(messages, matcher)]  # type: ignore[arg-type]
    return [tuple(half.order if half else None for half in exchange) for exchange in halves]


def test_pipelined_requests_are_answered_in_order() -> None:
    messages = (timed(REQUEST, 0), timed(REQUEST, 1), timed(RESPONSE, 2), timed(RESPONSE, 3))
    assert shape(*messages) == [(0, 2, None), (1, 3, None)]


def test_a_response_from_before_the_capture_stays_alone() -> None:
    assert shape(timed(RESPONSE, 0), timed(REQUEST, 1), timed(RESPONSE, 2)) == [(None, 0, None), (1, 2, None)]


def test_an_interim_response_ends_nothing() -> None:
    assert shape(timed(REQUEST, 0), timed(RESPONSE, 1, final=False), timed(RESPONSE, 2)) == [(0, 2, None)]


def test_keys_pair_out_of_order_and_the_oldest_first() -> None:
    messages = (
        timed(REQUEST, 0, key="a"),
        timed(REQUEST, 1, key="b"),
        timed(REQUEST, 2, key="a"),
        timed(RESPONSE, 3, key="b"),
        timed(RESPONSE, 4, key="a"),
    )
    assert shape(*messages, matcher="key") == [(0, 4, None), (1, 3, None), (2, None, None)]


def test_one_way_requests_wait_for_nothing() -> None:
    assert shape(timed(REQUEST, 0, one_way=True), timed(REQUEST, 1), timed(RESPONSE, 2)) == [
        (0, None, None),
        (1, 2, None),
    ]


def test_events_and_unpaired_protocols_stay_alone() -> None:
    assert shape(timed(EVENT, 0), timed(REQUEST, 1), timed(RESPONSE, 2), matcher="none") == [
        (None, None, 0),
        (1, None, None),
        (None, 2, None),
    ]


def test_the_order_of_exchanges_is_that_of_capture_not_of_arrival_in_the_list() -> None:
    assert shape(timed(RESPONSE, 3), timed(REQUEST, 2), timed(REQUEST, 1)) == [(1, 3, None), (2, None, None)]
