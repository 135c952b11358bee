"""Scanners say what dissectors say, on whatever streams: of the samples, of other people, cut, damaged, made up."""

from __future__ import annotations

import os
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.core_capture import Assembled, RecordBatch, load_core
from kubeshark.core_capture.files import open_capture
from kubeshark.errors import InputError
from kubeshark.pipeline._segments import MemorySegment
from tests.pipeline._scanned import assert_scanned_as_dissected
from tests.pipeline._traffic import Capture, Connection, dns

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = Path(os.environ.get("KUBESHARK_CAPTURES", ROOT.parent / "shared" / "captures")) / "files"
OTHERS = sorted(CAPTURES.glob("*")) if CAPTURES.is_dir() else []
MANY = 4  # test items the captures of other people are dealt to


@cache
def segments(path: Path) -> list[MemorySegment]:
    batches: defaultdict[int, list[RecordBatch]] = defaultdict(list)
    try:
        with open_capture(path) as reader:
            for batch in reader:
                batches[batch.link_type].append(batch)
    except InputError:
        return []
    return [MemorySegment.of(f"s{number}", each, load_core()) for number, each in enumerate(batches.values())]


@pytest.mark.parametrize("name", ["sample.pcapng", "shop.pcapng.zst"])
def test_our_recordings(name: str) -> None:
    counts = assert_scanned_as_dissected(segments(ROOT / "examples" / "captures" / name))
    assert counts["http"] > 5
    assert counts["dns"] > 5


@pytest.mark.skipif(not OTHERS, reason="needs KUBESHARK_CAPTURES: captures of other people, not in this repository")
@pytest.mark.parametrize("share", range(MANY))
def test_captures_of_other_people(share: int) -> None:
    for path in OTHERS[share::MANY]:
        if path.stat().st_size < 2 << 20:
            assert_scanned_as_dissected(segments(path))
            segments.cache_clear()


REQUESTS = (
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HEAD /a HTTP/1.1\r\nHost:  two  words \r\n\r\n",
    b"POST /b?query=1 HTTP/1.1\r\nContent-Length: 3\r\nContent-Type: application/json\r\n\r\nabc",
    b'POST /g HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{"query":"{ a }"}',
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET /d HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    b"CONNECT h:1 HTTP/1.1\r\n\r\n",
    b"GET  /e HTTP/1.1\r\n\r\n",
    b"GET /f HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    b"\r\n\r\nDELETE /\xc3\xa9 HTTP/1.0\r\n\r\n",
    b"POST /h HTTP/1.1\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata: a\n\n",
    b"PUT /i HTTP/1.0\r\nhost: h\r\nHOST: i\r\nX: \xff\r\nno colon\r\n: no name\r\nA:\tb\rc \r\n\r\n",
)
RESPONSES = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 204 No Content\r\nContent-Type: Text/HTML; charset=x\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n",
    b"HTTP/1.0 404 Not Found\r\nContent-Length: 5, 5\r\n\r\nabcde",
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x01a",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 099 odd\r\n\r\n",
    b"HTTP/1.1 200  Fine \r\nContent-Type: text/event-stream\r\nContent-Length: 18\r\n\r\ndata: a\n\ndata: b\n\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\ndata:\r\n4\r\n a\n\n\r\n0\r\n\r\n",
)
TURNS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 11), st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=8
)


@given(TURNS, st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_http_made_up(turns: list[tuple[bool, int, int, int]], is_whole: bool, is_mutated: bool) -> None:
    capture = Capture()
    connection = Connection(capture)
    if is_whole:
        connection.open()
    for is_request, which, at, byte in turns:
        data = bytearray(REQUESTS[which] if is_request else RESPONSES[which % len(RESPONSES)])
        if is_mutated and at < len(data):
            data[at] = byte
        cut = at % len(data)
        for piece in (bytes(data[:cut]), bytes(data[cut:])):
            if piece:
                (connection.ask if is_request else connection.answer)(piece)
    assert_scanned_as_dissected(capture.segments())


def test_a_connection_older_than_the_capture_is_scanned_if_it_begins_with_a_message() -> None:
    capture = Capture()
    Connection(capture).ask().answer().ask().answer()
    assert assert_scanned_as_dissected(capture.segments())["http"] == 2
    Connection(capture, client_port=40_001).ask(b"tail of a body" + REQUESTS[0]).answer()
    assert assert_scanned_as_dissected(capture.segments())["http"] == 2


NAMES = (b"\x01a\x04test\x00", b"\x00", b"\x01A\xc0\x0c", b"\x03a.b\x00", b"\x3f" + b"x" * 63 + b"\x00", b"\xc0\x0c")


@given(
    st.lists(
        st.tuples(*map(st.integers, (0, 0), (3, len(NAMES) - 1)), st.booleans(), *map(st.integers, (0, 0), (90, 255))),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_dns_made_up(messages: list[tuple[int, int, bool, int, int]], is_mutated: bool) -> None:
    capture = Capture()
    for number, name, is_answer, at, byte in messages:
        packet = bytearray(dns(number, NAMES[name], answer=is_answer))
        if is_mutated and 28 <= at < len(packet):  # behind the headers of IP and UDP
            packet[at] = byte
        capture.add(bytes(packet))
    assert_scanned_as_dissected(capture.segments(*([1] if len(messages) > 2 else [])))


def test_connections_that_run_through_segments() -> None:
    capture = Capture()
    connection = Connection(capture).open()
    for _ in range(4):
        connection.ask().answer()
    counts = assert_scanned_as_dissected(capture.segments(3, 5, 8))
    assert counts["http"] == 4


PLAIN = REQUESTS[0] + REQUESTS[4] + REQUESTS[2].replace(b"?query", b"?q")  # none that the scanner leaves alone
ANSWERS = RESPONSES[0] + RESPONSES[3] + RESPONSES[9]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 21, 34, 55, 400])
def test_messages_are_scanned_however_packets_cut_them(size: int) -> None:
    """Bytes lie in their packets: a head, a chunk's size or a body may begin in one and end in another."""
    capture = Capture()
    connection = Connection(capture).open()
    for data, send, side in ((PLAIN, connection.ask, 0), (ANSWERS, connection.answer, 1)):
        for at in range(0, len(data), size):
            send(data[at : at + size])
            if at % 3 == 0:  # sent again, with more: only what is new of it counts
                connection.sequence[side] -= len(data[at : at + size])
                send(data[at : at + size] + data[at + size : at + size + 1])
                connection.sequence[side] -= len(data[at + size : at + size + 1])
    assert assert_scanned_as_dissected(capture.segments())["http"] == 3


def test_bodies_stay_in_their_packets() -> None:
    """A summary looks at none of them: copying them was a seventh of its time."""
    capture = Capture()
    connection = Connection(capture).open().ask()
    connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
    for _ in range(9):
        connection.answer(b"b" * 1_000)
    [segment] = capture.segments()
    streams = load_core().assemble(segment.decoded, [0])
    assert isinstance(streams, Assembled)
    laid_out = streams._make.__self__._sides["is_laid_out"]  # type: ignore[attr-defined]
    assert streams.scan([("http", np.array([0]))]).taken.all()
    assert not laid_out.any()
    [stream] = streams
    assert stream.directions is not None
    assert laid_out.all()
    assert max(stream.directions, key=lambda side: len(side.data)).data.tobytes().endswith(b"\r\n\r\n" + b"b" * 9_000)
