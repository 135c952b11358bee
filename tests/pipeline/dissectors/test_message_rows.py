"""Messages that a dissector makes of a scanner's rows are those that it finds itself.

Documents, times and ids of whole entries are compared in tests/pipeline/dissection/test_scans.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from kubeshark.core_capture import Assembled, load_core
from kubeshark.extension_api import Message
from kubeshark.pipeline.dissection._scanned import ScannedStreams
from kubeshark.pipeline.dissectors.web import http1
from kubeshark.pipeline.reading._streams import FlowStream
from tests.pipeline._traffic import Capture, Connection

pytestmark = pytest.mark.skipif(load_core().name != "native", reason="scanners need the C core: apt-get install gcc")

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"9\r\ndata: a\n\n\r\n9\r\ndata: b\n\n\r\n0\r\n\r\n"


def both_ways(capture: Capture) -> tuple[list[Message] | None, list[Message]]:
    """Return the messages of the only stream, made of rows and found in its bytes."""
    (segment,) = capture.segments()
    assembled = load_core().assemble(segment.decoded, range(1))
    assert isinstance(assembled, Assembled)
    found = assembled.scan([("http", assembled.flows)])
    assert found.taken.all()
    scanned = ScannedStreams(found, [], [], [0], [])
    rows = [row for exchange in scanned.halves(0) for row in exchange if row]
    (stream,) = FlowStream.all_of(segment.decoded, list(assembled))
    made = http1.read_rows(stream, rows, found.text)
    return made, [each for each in http1._dissect(stream) if isinstance(each, Message)]


def said(message: Message) -> tuple[Any, ...]:
    assert message.detail is not None
    late, document = message.detail()
    shown = {name: getattr(message, name) for name in ("kind", "direction", "start", "end", "fields", "final", "error")}
    return shown, dict(late), document, list(message.parts()) if message.parts else None


def test_requests_and_responses() -> None:
    capture = Capture()
    connection = Connection(capture).open().ask(b"GET /caf%C3%A9?a=b HTTP/1.0\r\nHost:  h  i\r\nCookie: c=d\r\n\r\n")
    connection.answer(b"HTTP/1.1 404 Not  Found \r\nContent-Length: 3\r\nContent-Type: Text/Plain; a=b\r\n\r\nabc")
    connection.ask(b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").answer(
        EVENTS + CHUNKS
    )
    made, found = both_ways(capture)
    assert made is not None
    assert sorted(map(said, made), key=str) == sorted(map(said, found), key=str)
    assert any(message.parts for message in made)


def test_a_stream_that_goes_on_as_a_websocket_is_read_again() -> None:
    capture = Capture()
    Connection(capture).open().ask(b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n").answer(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x01a"
    )
    made, found = both_ways(capture)
    assert made is None
    assert len(found) == 2
