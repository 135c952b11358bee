"""Places, cursors and windows."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.errors import UsageError
from kubeshark.pipeline.entries._order import Order, Place, Spot, Window, begin_of, cursor_text, parse_cursor, place_of
from tests.pipeline._stores import mixed
from tests.pipeline._traffic import find

NAMES = st.text("abcXYZ0189._-", min_size=1, max_size=12)
PLACES = st.tuples(st.integers(0, 3), NAMES, st.integers(0, 3), st.integers(-1, 3))
ORDERS = st.sampled_from(["asc", "desc"])


@given(st.tuples(st.integers(0, 2**64 - 1), NAMES, st.integers(0, 2**32 - 1), st.integers(-1, 1 << 40)))
def test_cursors_are_read_back(place: Place) -> None:
    text = cursor_text(place)
    assert parse_cursor(text) == place
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_cursors_between_entries_are_read_back(order: Order) -> None:
    assert parse_cursor(cursor_text(begin_of(7, order))) == begin_of(7, order)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        "!!!!",
        "a" * 5_000,
        "MSAx",
        *(base64.urlsafe_b64encode(t).decode() for t in (b"2 1 s 0 0", b"\xff")),
    ],
)
def test_what_is_no_cursor_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="is not a cursor"):
        parse_cursor(text)


@given(st.lists(PLACES, unique=True), ORDERS)
def test_spots_are_in_the_order_of_their_places(places: list[Place], order: Order) -> None:
    spots = sorted(Spot.of(place, order) for place in places)
    assert [spot.place for spot in spots] == sorted(places, reverse=order == "desc")


@given(st.lists(PLACES), ORDERS)
def test_a_time_begins_before_its_places(places: list[Place], order: Order) -> None:
    for place in places:
        assert Spot.of(begin_of(place[0], order), order) < Spot.of(place, order)


def test_ids_are_made_only_among_equal_times() -> None:
    asked: list[int] = []

    def place(at: int) -> Place:
        asked.append(at)
        return (1, "s", at, 0)

    early, late, also_late = Spot(0, "asc", place, 0), Spot(1, "asc", place, 1), Spot(1, "asc", place, 2)
    assert early < late
    assert asked == []
    assert late < also_late
    assert asked == [1, 2]


def test_entries_come_by_place() -> None:
    places = [place_of(entry) for entry in find(mixed(), cuts=[9, 31])]
    assert places == sorted(places)
    assert len({place[0] for place in places}) < len(places) == len(set(places))


@given(
    st.lists(PLACES, unique=True).map(sorted),
    st.builds(
        Window,
        since_ns=st.none() | st.integers(0, 3),
        until_ns=st.none() | st.integers(0, 3),
        above=st.none() | PLACES,
        below=st.none() | PLACES,
    ),
)
def test_a_window_holds_what_lies_between(places: list[Place], window: Window) -> None:
    starts = np.array([place[0] for place in places], dtype=np.int64)
    expected = [
        (window.since_ns is None or place[0] >= window.since_ns)
        and (window.until_ns is None or place[0] <= window.until_ns)
        and (window.above is None or place > window.above)
        and (window.below is None or place < window.below)
        for place in places
    ]
    assert window.holds(starts, lambda at: places[at]).tolist() == expected
    for place, is_held in zip(places, expected, strict=True):
        if is_held:
            assert window.overlaps(place[0], place[0])
            for order in ("asc", "desc"):
                bound = window.clamp(begin_of(place[0], order), order)
                assert Spot.of(bound, order) < Spot.of(place, order)


def test_a_window_takes_any_time() -> None:
    window = Window(since_ns=-(1 << 80), until_ns=1 << 80)
    assert window.holds(np.array([0, 5]), lambda at: (at, "", 0, 0)).tolist() == [True, True]
    assert window.within(3, None) == Window(since_ns=3, until_ns=1 << 80)
