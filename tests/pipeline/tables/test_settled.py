"""Columns that are kept without packets say what the entries say, in the same order."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from kubeshark.pipeline.entries._order import Order
from kubeshark.pipeline.kfl import ENTRY
from kubeshark.pipeline.query import _plan
from kubeshark.pipeline.query._query import Query
from kubeshark.pipeline.query._rows import Fields, columns_read_by, itself
from kubeshark.pipeline.reading._select import select
from kubeshark.pipeline.tables._column import Column
from kubeshark.pipeline.tables._ids import Ids
from kubeshark.pipeline.tables._settled import SettledTable, settled
from kubeshark.pipeline.tables._table import EntryTable
from tests.pipeline._stores import long_talk, mixed
from tests.pipeline._traffic import Capture, Connection, make_query

FIELDS = ("id", "timestamp", "src.ip", "dst.port", "protocol", "url", "elapsed_time", "dns_questions", "conn")
"""Read from columns, from the index, and by dissecting."""


@pytest.fixture(params=[1, 8 << 20])
def chunk_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(_plan, "CHUNK_BYTES", request.param)
    return int(request.param)


def rows_of(capture: Capture, kfl: str, cuts: Sequence[int], **options: Any) -> list[tuple[Any, ...]]:
    return rows(make_query(capture.segments(*cuts), kfl, **options))


def rows(query: Query[Any]) -> list[tuple[Any, ...]]:
    return [row for run in query.runs(FIELDS) for row in zip(*map(run.column, FIELDS), strict=True)]


def entries_of(capture: Capture, kfl: str, cuts: Sequence[int], **options: Any) -> list[tuple[Any, ...]]:
    return [tuple(entry.get(name) for name in FIELDS) for entry in make_query(capture.segments(*cuts), kfl, **options)]


@pytest.mark.usefixtures("chunk_bytes")
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("cuts", [(), (9, 31)])
@pytest.mark.parametrize("kfl", ["", 'url == "/"', "dns || flow"])
def test_rows_are_the_entries(kfl: str, cuts: tuple[int, ...], order: Order) -> None:
    for capture in (mixed(), long_talk()):
        wanted = entries_of(capture, kfl, cuts, order=order)
        assert rows_of(capture, kfl, cuts, order=order) == wanted
        assert rows_of(capture, kfl, cuts, order=order, limit=3) == wanted[:3]


@pytest.mark.usefixtures("chunk_bytes")
def test_pages_go_on_behind_rows() -> None:
    wanted = entries_of(mixed(), "", (9, 31))
    for at in range(1, len(wanted), 5):
        query = make_query(mixed().segments(9, 31), "", limit=at)
        first = rows(query)
        assert first + rows_of(mixed(), "", (9, 31), after=query.next_place) == wanted


def test_what_a_maker_reads_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[type] = []

    def watched(table: EntryTable, names: Sequence[str]) -> Any:
        result = settled(table, names)
        made.append(type(result))
        return result

    monkeypatch.setattr("kubeshark.pipeline.query._run.settled", watched)
    query: Any = make_query(mixed().segments(), "http")
    query.make = Fields(("url",))
    query.__post_init__()
    entries = [Fields(("url",))(entry) for entry in make_query(mixed().segments(), "http")]
    assert list(query) == entries
    assert made == [SettledTable]
    made.clear()
    heavy = [len(run) for run in make_query(mixed().segments(), "http").runs(["response_body"])]
    assert heavy == [len(entries)]
    assert made == []  # bodies are larger than packets


def test_who_reads_more_than_small_columns_gets_entries() -> None:
    known = make_query([], "").dissector.origin.variables
    assert columns_read_by(Fields(("url",)), known) == ("id", "timestamp", "url")
    assert columns_read_by(Fields(("url", "response_body")), known) is None
    assert columns_read_by(Fields((ENTRY,)), known) is None
    assert columns_read_by(itself, known) is None


def test_connections_that_run_on_keep_no_packets_either() -> None:
    query = make_query(long_talk().segments(12, 25), "http")
    tables = {type(table) for run in query.runs(["url"]) for table in run._tables}
    assert tables == {SettledTable}


def test_packets_are_freed_as_soon_as_columns_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a dissector read them: the next chunk lies in their memory, and no collector comes round for it."""
    packets: list[weakref.ref[Any]] = []

    def watched(*arguments: Any) -> Any:
        selection = select(*arguments)  # a segment in memory keeps its own packets
        selection.decoded = replace(selection.decoded, packets=selection.decoded.packets.copy())
        packets.append(weakref.ref(selection.decoded.packets))
        return selection

    capture = Capture()
    Connection(capture, port=9_999).open().ask(b"nobody knows").answer(b"this")
    Connection(capture, client_port=40_001).open().ask().answer()
    monkeypatch.setattr("kubeshark.pipeline.query._run.select", watched)
    query = make_query(capture.segments())
    gc.disable()
    try:
        runs = list(query.runs(FIELDS))
        assert [each() for each in packets] == [None]
    finally:
        gc.enable()
    assert {"TCP", "HTTP"} <= {protocol for run in runs for protocol in run.column("protocol")}


def test_only_what_was_kept_is_known() -> None:
    (run, *_) = make_query(mixed().segments(), "http").runs(["url"])
    with pytest.raises(KeyError, match="method was not kept"):
        run.column("method")


def test_parts_and_places() -> None:
    ids = Ids(["s", "t"], np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([1 << 40, 0, 1]))
    table = SettledTable(np.array([5, 7, 7]), ids, {"url": Column([["a"], ["c", "b"]], np.array([0, 2, 1]))})
    assert [table.place(at) for at in range(3)] == [(5, "s", 0, 1 << 40), (7, "s", 1, 0), (7, "t", 1, 1)]
    assert table.take(slice(1, None)).objects("id") == ["s-1-0", "t-1-1"]
    assert table.take(np.array([0])).objects("id") == ["s-0-conn"]
    assert table.take(np.array([2, 0])).objects("url") == ["c", "a"]
    assert table.take(np.array([2, 0])).take(slice(0, 1)).objects("url") == ["c"]
    other = table.replaced(np.array([1]), {"url": ["x"]})
    assert (other.objects("url"), table.objects("url")) == (["a", "x", "c"], ["a", "b", "c"])
