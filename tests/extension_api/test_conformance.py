"""The kit finds what it is meant to find, and nothing in a dissector that is right."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from kubeshark.extension_api import MessageKind
from kubeshark.extension_api._conformance import (
    Vector,
    check_cuts,
    check_sides,
    feed,
    made_up,
    read_vectors,
    shrink,
    written,
)
from kubeshark.extension_api._frame import FrameItem, FrameMessage, ItemFlag

Answer = tuple[int, list[FrameMessage]]
LINES = [Vector("client", 0, b"one\ntwo\nthree"), Vector("server", 1, b"a\n" * 5), Vector("empty", 0, b"")]


def message(start: int, end: int, text: str, item: int = 0) -> FrameMessage:
    return FrameMessage(item, MessageKind.REQUEST, False, False, start, end, 0, {0: text}, "")


def lines(items: Sequence[FrameItem]) -> list[Answer]:
    """A right one: lines, and what is left at the end."""
    answers = []
    for number, item in enumerate(items):
        data, at, found = bytes(item.payload), 0, []
        while (end := data.find(b"\n", at)) >= 0:
            found.append(message(at, end + 1, data[at:end].decode("latin-1"), number))
            at = end + 1
        if item.flags & ItemFlag.LAST and at < len(data):
            found.append(message(at, len(data), "cut", number))
            at = len(data)
        answers.append((at, found))
    return answers


def eager(items: Sequence[FrameItem]) -> list[Answer]:
    """Takes whatever is there for a line."""
    return [(len(item.payload), [message(0, len(item.payload), "x", at)]) for at, item in enumerate(items)]


def counting() -> Callable[[Sequence[FrameItem]], list[Answer]]:
    """Numbers lines over items: state."""
    count = 0

    def ask(items: Sequence[FrameItem]) -> list[Answer]:
        nonlocal count
        answers = []
        for consumed, messages in lines(items):
            count += 1
            answers.append((consumed, [each._replace(fields={0: str(count)}) for each in messages]))
        return answers

    return ask


def failing(items: Sequence[FrameItem]) -> list[Answer]:
    if any(b"\xff" in bytes(item.payload) for item in items):
        raise ValueError("was ended by SIGSEGV")
    return lines(items)


def findings(ask: Callable[[Sequence[FrameItem]], list[Answer]], *vectors: Vector) -> list[str]:
    return [str(found) for vector in vectors for found in check_cuts(ask, vector, random.Random(1))]


def test_a_right_dissector() -> None:
    streams = [*LINES, *made_up(LINES, 50, random.Random(3)), Vector("long", 0, b"ab\n" * 2000)]
    assert findings(lines, *streams) == []
    assert list(check_sides(lines, LINES)) == []


def test_pieces_that_matter_are_found() -> None:
    (first, *_) = findings(eager, *LINES)
    assert first.startswith(
        "client: differs when cut at 1: message 0 is request 0-1 {0: 'x'}, in one piece request 0-13"
    )
    datagram = Vector("datagram", 0, b"one\ntwo", transport=17)
    assert findings(eager, datagram) == []


def test_state_between_items_is_found() -> None:
    assert any("keeps state between items" in str(found) for found in check_sides(counting(), LINES))


def test_failures_are_found() -> None:
    assert findings(failing, Vector("bad", 0, b"a\n\xff")) == ["bad: fails on it: was ended by SIGSEGV"]


def test_made_up_streams_are_the_same_for_the_same_seed() -> None:
    first, again = (list(made_up(LINES, 30, random.Random(7))) for _ in range(2))
    assert first == again
    assert first != list(made_up(LINES, 30, random.Random(8)))
    assert len({vector.data for vector in first}) > 20
    assert max(len(vector.data) for vector in first) <= 8192
    assert list(made_up([], 3, random.Random(1)))


@pytest.mark.parametrize("seed", range(3))
def test_what_only_noise_shows(seed: int) -> None:
    streams = made_up(LINES, 100, random.Random(seed))
    assert any("fails" in found for found in findings(failing, *streams))


HOLES = Vector("holes", 0, b"one\ntw\0\0\0\0hree\nfo", 7, 6, ((6, 10, 1448),), True)


def test_what_is_before_a_gap_is_lost_there() -> None:
    places = [(start, end) for _, start, end, *_ in feed(lines, HOLES)]
    assert places == [(0, 4), (10, 15), (15, 17)]
    assert feed(lines, HOLES, [2, 7, 12, 16]) == feed(lines, HOLES)


def test_flags_tell_of_gaps_and_ends() -> None:
    seen = []

    def ask(items: Sequence[FrameItem]) -> list[Answer]:
        seen.extend((item.base, bytes(item.payload), item.flags) for item in items)
        return lines(items)

    feed(ask, HOLES, [4])
    first, gap, last = ItemFlag.FIRST, ItemFlag.GAP, ItemFlag.LAST
    assert seen == [(0, b"one\n", first | gap), (4, b"tw", 0), (10, b"hree\nfo", gap | last)]


def test_made_up_streams_have_gaps_in_order() -> None:
    holed = [vector for vector in made_up(LINES, 300, random.Random(5)) if vector.gaps]
    assert len(holed) > 20
    for vector in holed:
        ends = [0, *(place for start, end, _ in vector.gaps for place in (start, end)), len(vector.data)]
        assert ends == sorted(ends)
        assert all(not any(vector.data[start:end]) for start, end, _ in vector.gaps)
    assert any(vector.starts_midway for vector in holed)


def test_what_is_not_needed_is_taken_away() -> None:
    wrong = Vector("", 0, b"one\ntwo\nthree X four\n" * 9, gaps=((1, 2, 3),), starts_midway=True)
    assert shrink(wrong, lambda vector: b"X" in vector.data) == Vector("", 0, b"X")
    assert shrink(wrong, lambda vector: bool(vector.gaps)) == wrong
    assert shrink(wrong, lambda vector: False) == wrong


@pytest.mark.parametrize("vector", [HOLES, *LINES, Vector("datagram", 1, b"\xff", 53, 17)])
def test_vectors_come_back(vector: Vector) -> None:
    text = written(vector, [{"kind": "request"}])
    assert read_vectors(text + "\n" + text, "x") == [(vector, [{"kind": "request"}])] * 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"data": "', '"data": "!'),
        ('"gaps": [[6, 10', '"gaps": [[10, 6'),
        ('"gaps": [[6, 10', '"gaps": [[6, 100'),
        ('"gaps": [[6,', '"gaps": [[6, 7,'),
        ('"messages": []', '"messages": {}'),
        ('"name"', '"nom"'),
        ("{", "["),
    ],
)
def test_a_damaged_vector_is_named(old: str, new: str) -> None:
    text = written(HOLES, [])
    assert old in text
    with pytest.raises(ValueError, match=r"^f\.vectors\.jsonl:2: no vector"):
        read_vectors(text + "\n" + text.replace(old, new, 1), "f.vectors.jsonl")
