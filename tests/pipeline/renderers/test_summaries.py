"""Cells of a row, told of one entry and of many: both say the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import ProtocolSpec
from kubeshark.pipeline.dissectors import CONN, FLOW
from kubeshark.pipeline.plugins._manager import Plugins
from kubeshark.pipeline.renderers._summaries import Cell, Code, Failed, Said, Summary, Told, summaries, summary

SPEC = ProtocolSpec("fruit", "FRUIT", "Fruit")
TEXTS = st.sampled_from(["", "apple", "pear", "a\nb", '"'])
SAID = st.one_of(TEXTS, st.lists(TEXTS, max_size=2))
NUMBERS = st.integers(-3, 600)


def _even(number: Any, text: Any) -> tuple[str, str]:
    return f"{number} {text}", "even" if number % 2 == 0 else ""


CELLS: list[tuple[Cell, tuple[st.SearchStrategy[Any], ...]]] = [
    (Said("a"), (SAID,)),
    (Said("a", "b", "c"), (SAID, SAID, SAID)),
    (Said("a", "b", shown=str.upper), (SAID, TEXTS)),
    (Code("a"), (NUMBERS,)),
    (Code("a", answered="b"), (NUMBERS, TEXTS)),
    (Failed("a", answered="b"), (st.booleans(), TEXTS)),
    (Told("a", "b", by=_even), (NUMBERS, TEXTS)),
]


@pytest.mark.parametrize(("cell", "kinds"), CELLS)
@given(data=st.data())
def test_of_many_a_cell_says_what_it_says_of_each(
    cell: Cell, kinds: Sequence[st.SearchStrategy[Any]], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.tuples(*kinds), max_size=8))
    asked: list[str] = []

    def read(name: str, places: Sequence[int] | None = None) -> list[Any]:
        asked.append(name)
        column = [row[cell.reads.index(name)] for row in rows]
        return column if places is None else [column[place] for place in places]

    assert cell.column(read) == [cell.tell(*row)[0] for row in rows]
    assert len(asked) == len(set(asked)) and set(asked) <= set(cell.reads)


def test_what_a_click_adds() -> None:
    assert Said("a", "b").tell("", ["x", "y"]) == ("x", '"x" in b')
    assert Said("a", "b").tell("", "") == ("", "")
    assert Said("a", shown=lambda text: text[:2]).tell("long") == ("lo", 'a == "long"')
    assert Code("a").tell(0) == (0, "")
    assert Code("a").tell(404) == (404, "a == 404")
    assert Code("a", answered="b").tell(0, "yes") == (0, "a == 0")
    assert Failed("a", answered="b").tell(False, "") == (0, "")
    assert Failed("a", answered="b").tell(False, "yes") == (1, "a == false")


def test_later_variables_are_read_where_earlier_ones_say_nothing() -> None:
    asked: list[tuple[str, Sequence[int] | None]] = []

    def read(name: str, places: Sequence[int] | None = None) -> list[Any]:
        asked.append((name, places))
        return ["x", "", "y"] if places is None else ["z"]

    assert Said("a", "b").column(read) == ["x", "z", "y"]
    assert asked == [("a", None), ("b", [1])]


class _Entry:
    def __init__(self, **values: Any) -> None:
        self.protocol, self.get = SPEC, values.__getitem__


def test_a_hook_answers_for_its_protocols_alone() -> None:
    hook = summary("fruit", "a", "b", "c")
    told = hook(entry=_Entry(a="pick", b="apple", c=3))
    assert told == {
        "method": "pick",
        "methodQuery": 'a == "pick"',
        "summary": "apple",
        "summaryQuery": 'b == "apple"',
        "status": 3,
        "statusQuery": "c == 3",
    }
    assert summary("stone", "a", "b")(entry=_Entry()) is None
    assert summaries({"fruit": lambda _: {"method": "mine"}})(entry=_Entry()) == {"method": "mine"}
    assert Summary(Said("a"), Said("b")).columns(lambda *_: ["x"], 1) == (["x"], [0], ["x"])


def test_variables_that_summaries_read_exist() -> None:
    """A name that no protocol has would be an empty cell for ever."""
    with Plugins() as plugins:
        specs = [binding.protocol for binding in plugins.protocols.all] + list(CONN.values()) + list(FLOW.values())
        told = [plugins.display.columns_of(spec) for spec in specs]
        read = {name for each in told if isinstance(each, Summary) for name in _reads(each)}
        assert len(read) > 60
        assert not [name for name in read if name not in plugins.variables]


def _reads(told: Summary) -> list[str]:
    cells = (told.method, told.about, told.status)
    return [name for cell in cells if cell is not None for name in cell.reads]
