"""Rows by protocol: each once, and each row's variables are its entry's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kubeshark.core_capture import load_core
from kubeshark.pipeline.tables._groups import by_protocol
from kubeshark.pipeline.tables._table import EntryTable, Found
from tests.pipeline.tables._rows import query

pytestmark = pytest.mark.skipif(load_core().name != "native", reason="scanners need the C core: apt-get install gcc")
NAMES = ("protocol", "status_code", "url", "dst.port", "error", "elapsed_time", "conn_state", "conn_local_bytes", "dns")


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> list[EntryTable]:
    """All rows of the traffic, chunk by chunk, as the filter gets them."""
    seen: list[EntryTable] = []
    matching = EntryTable.matching

    def remember(self: EntryTable, *given: Any) -> EntryTable:
        seen.append(self)
        return matching(self, *given)

    monkeypatch.setattr(EntryTable, "matching", remember)
    assert list(query("conn || dns || dst.port > 0"))
    return seen


def test_every_row_is_in_one_group(tables: list[EntryTable]) -> None:
    abbrs: list[str] = []
    for table in tables:
        rows = table.rows[::-1].copy()  # any order
        groups = list(by_protocol(table.found, rows))
        assert sorted(place for group in groups for place in group.places.tolist()) == list(range(len(rows)))
        for group in groups:
            abbrs.append(group.spec.abbr)
            assert group.rows.tolist() == rows[group.places].tolist()
            assert {table.found.entry(row).protocol.abbr for row in group.rows.tolist()} == {group.spec.abbr}
    assert set(abbrs) == {"DNS", "HTTP", "TCP_CONN", "UDP_CONN"}


def test_a_row_of_a_group_says_what_its_entry_says(tables: list[EntryTable]) -> None:
    for table in tables:
        for group in by_protocol(table.found, table.rows):
            entries = [table.found.resolve(row) for row in group.rows.tolist()]
            for name in NAMES:
                expected = [entry.get(name) for entry in entries]
                assert [row[name] for row in group.each()] == expected, name
                assert group.read(name) == expected
                assert group.read(name, [len(expected) - 1]) == expected[-1:]


def test_filters_look_at_columns_alone(dissected: list[int]) -> None:
    assert [entry.get("protocol") for entry in query("status_code >= 400 || conn_local_bytes > 100000")] == ["HTTP"]
    assert dissected == []


def test_nothing_is_grouped_where_nothing_is() -> None:
    empty = np.zeros(0, dtype=np.int64)
    assert list(by_protocol(Found(query("http").dissector.origin, empty, empty, empty, []), empty)) == []
