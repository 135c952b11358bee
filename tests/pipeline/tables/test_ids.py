"""Ids that columns tell are those that entries are given when they are made, wherever segments are cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeshark.core_capture import load_core
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.dissection import _dissect
from kubeshark.pipeline.entries._order import place_of
from kubeshark.pipeline.plugins._bindings import Binding
from kubeshark.pipeline.query._run import Runner
from kubeshark.pipeline.reading._segments import chains
from kubeshark.pipeline.reading._streams import FlowStream
from kubeshark.pipeline.tables._ids import Ids
from kubeshark.pipeline.tables._table import EntryTable
from tests.pipeline._traffic import GET, OK, Capture, Connection, dns, make_query
from tests.pipeline.dissection.test_scan_redis import command
from tests.pipeline.dissection.test_scan_ws import ASK, GRANT, frame
from tests.pipeline.dissectors.messaging.test_mqtt import connect, publish
from tests.pipeline.dissectors.web._http2_bytes import PREFACE, SETTINGS, Talker

ROUNDS = 4
SCANNED = {"http", "ws", "dns", "redis", "memcached", "http2", "mqtt"}
SMTP = 25
needs_scanners = pytest.mark.skipif(load_core().name != "native", reason="scanners need the C core")


def chatter() -> Iterator[tuple[int, bytes, bytes]]:
    """(port, request, response) of conversations that go on side by side."""
    client, server = Talker(PREFACE + SETTINGS), Talker(SETTINGS)
    for number in range(ROUNDS):
        yield 80, GET * 2, OK * 2  # a pipeline: two exchanges begin in a packet
        if number == 0:
            yield 81, ASK % b"", GRANT % b""
        yield 81, frame(b"hello", is_masked=True), frame(b"x" * 300)
        yield 6379, command(b"GET", b"a:%d" % number), b"$-1\r\n"
        yield 11211, b"get a\r\n", b"END\r\n"
        stream = 2 * number + 1
        yield 8080, client.request(stream, "GET", f"/{number}").said, server.response(stream, 200, end=True).said
        client.said = server.said = b""
        yield 1883, (b"" if number else connect(4)) + publish(b"a/b", b"hi"), b"" if number else b"\x20\2\0\0"


def traffic(*, with_made: bool = False) -> Capture:
    """All of it scanned, but for mails: their entries are made at once."""
    capture = Capture()
    connections = {}
    for number, (port, request, response) in enumerate(chatter()):
        if port not in connections:
            connections[port] = Connection(capture, port=port, client_port=40_000 + port).open()
        capture.add(dns(number))
        connections[port].ask(request)
        capture.now_ns -= 1_000_000  # the next packets share their times
        if response:
            connections[port].answer(response)
        capture.add(dns(number, answer=True))
    if with_made:
        mail = Connection(capture, port=SMTP, client_port=41_000).open().answer(b"220 m ESMTP\r\n")
        for _ in range(ROUNDS):
            mail.ask(b"NOOP\r\n").answer(b"250 ok\r\n")
    return capture


@cache
def plugins() -> Plugins:
    return Plugins()


def tables(capture: Capture, cuts: Sequence[int]) -> Iterator[tuple[str, EntryTable]]:
    """Yield each segment's name, and all entries of the connections that begin there."""
    segments = capture.segments(*cuts)
    query = make_query([], "", plugins())
    runner = Runner(query.dissector, query.filter, query.options.window)
    for begins in chains([(segment, np.arange(len(segment.flows))) for segment in segments]):
        yield begins.segment.name, runner.entries(begins)


def agree(capture: Capture, cuts: Sequence[int]) -> Counter[str]:
    """Compare the ids and places of all rows; return how many of each protocol's lie in a later segment."""
    later: Counter[str] = Counter()
    for begins_in, table in tables(capture, cuts):
        made = table.made()
        assert [table.found.ids.entry_id(at) for at in table.rows] == [entry.entry_id for entry in made]
        assert table.ids().texts() == [entry.id for entry in made]
        places = [place_of(entry) for entry in made]
        assert [table.place(at) for at in range(len(table))] == places
        assert [places[at] for at in table.by_time_and_id()] == sorted(places)
        later.update(entry.protocol.flag for entry in made if entry.entry_id.segment != begins_in)
    return later


@pytest.mark.parametrize("every", [1, 2, 3, 5, 8, 13])
def test_ids_of_connections_that_run_on(every: int) -> None:
    capture = traffic(with_made=True)
    later = agree(capture, range(every, len(capture.records), every))
    assert later.keys() >= {*SCANNED, "smtp"}


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(1, 60), max_size=6))
def test_ids_wherever_segments_are_cut(cuts: set[int]) -> None:
    agree(traffic(with_made=True), sorted(cuts))


def asked_nothing(_: Any, binding: Binding, streams: Sequence[FlowStream]) -> Sequence[Any]:
    assert not streams, f"{binding.plugin} was asked"
    return ()


@needs_scanners
def test_nothing_is_dissected_for_ids_and_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = traffic()
    cuts = range(3, len(capture.records), 3)
    fields = ("id", "timestamp", "src.ip", "protocol", "url", "status_code", "dns_questions", "redis_command")
    wanted = [tuple(map(entry.whole().get, fields)) for entry in make_query(capture.segments(*cuts), "", plugins())]
    monkeypatch.setattr(_dissect.Dissector, "ask", asked_nothing)
    monkeypatch.setattr(_dissect._Work, "_dissect_scanned", lambda *_: pytest.fail("entries were made of rows"))
    monkeypatch.setattr(_dissect._Work, "_connect", lambda *_: pytest.fail("a connection's entry was made"))
    for order in ("asc", "desc"):
        query = make_query(capture.segments(*cuts), "", plugins(), order=order)
        rows = [row for run in query.runs(fields) for row in zip(*map(run.column, fields), strict=True)]
        assert rows == (wanted if order == "asc" else wanted[::-1])
    entries = make_query(capture.segments(*cuts), "", plugins())
    assert [(entry.id, entry.start_ns) for entry in entries] == [row[:2] for row in wanted]


def test_ids_are_told_as_text_and_as_places() -> None:
    ids = Ids(["a-1", "b"], np.array([1, 0, 0]), np.array([7, 0, 3]), np.array([-1, 1 << 40, 12]))
    assert ids.texts() == ["b-7-flow", "a-1-0-conn", "a-1-3-12"]
    assert ids.take(slice(1, None)).place(0) == ("a-1", 0, 1 << 40)
    other = Ids(["aa"], np.array([0]), np.array([1]), np.array([2]))
    assert ids.take(np.array([0])).joined(other).texts() == ["b-7-flow", "aa-1-2"]
    assert ids.joined(other).segments == ["a-1", "aa", "b"]
