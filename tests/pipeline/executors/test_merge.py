"""Streams become one in order, each begun only when it may be next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.entries._order import Order, Place, Spot, begin_of
from kubeshark.pipeline.executors._merge import Unit, merge
from kubeshark.pipeline.query._runs import RowPiece

STREAMS = st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=8), max_size=5)


def units(
    streams: list[list[int]], order: Order, batch: int = 2, log: list[int] | None = None
) -> list[Unit[tuple[int, int]]]:
    """Return a unit a stream of times: stream i's k-th element is (time, i), its place names i and k."""

    def begin(number: int, places: list[Place]) -> Iterator[RowPiece[tuple[int, int]]]:
        if log is not None:
            log.append(number)
        for at in range(0, len(places), batch):
            some = places[at : at + batch]
            yield RowPiece((), (), order)
            yield RowPiece(some, [(place[0], number) for place in some], order)

    made = []
    for number, times in enumerate(streams):
        places = sorted(((time, f"s{number}", 0, at) for at, time in enumerate(times)), reverse=order == "desc")
        bound = Spot.of(begin_of(places[0][0], order), order)
        made.append(Unit(bound, lambda number=number, places=places: begin(number, places)))  # type: ignore[misc]
    return sorted(made, key=lambda unit: unit.bound)


def placed(element: RowPiece[tuple[int, int]] | Spot) -> Sequence[Place]:
    return () if isinstance(element, Spot) else element.places


@given(STREAMS, st.sampled_from(["asc", "desc"]), st.integers(1, 4))
def test_everything_comes_once_and_in_order(streams: list[list[int]], order: Order, batch: int) -> None:
    found: list[tuple[int, int]] = []
    for element in merge(units(streams, order, batch), order):
        if isinstance(element, Spot):  # nothing that comes later lies before it
            found.append((element.time_ns, -1))
        else:
            found += element
    times = [time for time, _ in found]
    assert times == sorted(times, reverse=order == "desc")
    places = [place for element in merge(units(streams, order, batch), order) for place in placed(element)]
    assert places == sorted(places, reverse=order == "desc"), "between equal times, by the id"
    given = sorted((time, number) for number, times in enumerate(streams) for time in times)
    assert sorted(each for each in found if each[1] >= 0) == given


def test_a_stream_begins_when_its_first_element_may_be_next() -> None:
    log: list[int] = []
    running = merge(units([[1, 2, 9], [5, 6], [7]], "asc", log=log), "asc")
    seen: list[int] = []
    while len(seen) < 2:
        element = next(running)
        seen += [] if isinstance(element, Spot) else [time for time, _ in element]
    assert (seen, log) == ([1, 2], [0])


def test_rows_that_are_here_wait_for_no_others() -> None:
    asked: list[int] = []

    def stream() -> Iterator[RowPiece[int]]:
        for number in (1, 2, 3):
            asked.append(number)
            yield RowPiece([(number, "s", 0, 0)], [number], "asc")

    running = merge([Unit(Spot.of(begin_of(1, "asc"), "asc"), stream)], "asc")
    pieces = (element for element in running if not isinstance(element, Spot))
    assert [*next(pieces)] == asked == [1]
    assert [*next(pieces)] == [2]
    assert asked == [1, 2]


def test_nothing_of_nothing() -> None:
    assert list(merge([], "asc")) == []
