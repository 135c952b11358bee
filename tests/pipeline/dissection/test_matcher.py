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


def test_a_lost_response_does_not_move_those_behind_it() -> None:
    """The asking side had read it before it asked again."""
    first, lost, asked = (timed(REQUEST, order) for order in (0, 2, 3))
    for at, request in enumerate((first, lost, asked)):
        request.had_read = 100 * at
    answer, behind = timed(RESPONSE, 1), timed(RESPONSE, 4)
    behind.is_behind_gap = True
    exchanges = pair((first, answer, lost, asked, behind), "fifo")
    assert [(each.request, each.response, each.is_lost) for each in exchanges] == [
        (first, answer, False),
        (lost, None, True),
        (asked, behind, False),
    ]


def test_what_was_asked_without_reading_waits_together() -> None:
    """Three at once: which of their responses was lost nobody knows, and the oldest is taken."""
    asked = [timed(REQUEST, order) for order in range(3)]
    for request in asked:
        request.had_read = 100
    behind = timed(RESPONSE, 3)
    behind.is_behind_gap = True
    assert [each.response for each in pair((*asked, behind), "fifo")] == [behind, None, None]


def test_who_asks_ahead_is_answered_in_order_behind_a_gap_too() -> None:
    """Two requests are always under way: one was asked after the response before the last was read."""
    asked = [timed(REQUEST, order) for order in (0, 1, 3, 5)]
    for at, request in enumerate(asked):
        request.had_read = 100 * max(at - 1, 0)
    answers = [timed(RESPONSE, order) for order in (2, 4, 6)]
    answers[1].is_behind_gap = answers[2].is_behind_gap = True
    messages = sorted((*asked, *answers), key=lambda each: each.order)
    assert [each.response for each in pair(messages, "fifo")] == [*answers, None]


def test_what_no_acknowledgement_tells_is_answered_in_order() -> None:
    """The oldest that waits, or the latest, says nothing."""
    for unknown in (1, 2):
        asked = [timed(REQUEST, order) for order in (0, 2, 3)]
        for at, request in enumerate(asked):
            request.had_read = -1 if at == unknown else 100 * at
        behind = timed(RESPONSE, 4)
        behind.is_behind_gap = True
        exchanges = pair((asked[0], timed(RESPONSE, 1), *asked[1:], behind), "fifo")
        assert [each.response is behind for each in exchanges] == [False, True, False]


def test_without_a_response_before_the_gap_order_alone_counts() -> None:
    """Whether the asking side waits for each response was not seen."""
    asked = [timed(REQUEST, order) for order in (0, 1)]
    for at, request in enumerate(asked):
        request.had_read = 100 * at
    behind = timed(RESPONSE, 2)
    behind.is_behind_gap = True
    assert [each.response for each in pair((*asked, behind), "fifo")] == [behind, None]
