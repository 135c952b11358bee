"""Start lines, where they are and where they only seem to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.web._http1_framing import MAX_TARGET, find_start, read_chunked, start_line

from .._streams import Side


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET / HTTP/1.1\r\n", (b"GET", b"/", 0, b"1.1")),
        (b"BREW /pot HTTP/1.0\n", (b"BREW", b"/pot", 0, b"1.0")),
        (b"GET  /a b  HTTP/1.1 \r\n", (b"GET", b"/a b", 0, b"1.1")),
        (b"GET / HTTP/1.0.8\r\n", (b"GET", b"/", 0, b"1.0")),
        (b"HTTP/1.1 200 OK\r\n", (b"", b"", 200, b"1.1")),
        (b"HTTP/1.0  404\r\n", (b"", b"", 404, b"1.0")),
        (b"HTTP/1.0 404 \r\n", (b"", b"", 404, b"1.0")),
        (b"HTTP/1.1 202 Accepted\r\x1aServer: x\r\n", (b"", b"", 202, b"1.1")),
    ],
)
def test_start_lines(line: bytes, expected: tuple[bytes, bytes, int, bytes]) -> None:
    unit = start_line(line, 0)
    assert unit
    assert (unit.method, unit.target, unit.status, unit.version) == expected
    assert unit.line_end == len(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET / HTTP/1.1",
        b"GET /\r\n",
        b"GET / HTTP/2.0\r\n",
        b"GET / HTTP/1.10\r\n",
        b"GET / HTTP/1.1.\r\n",
        b"GET / HTTP/1.\xff\r\n",
        b"G@T / HTTP/1.1\r\n",
        b"this is not HTTP/1.1\r\n",
        b"x" * 33 + b" / HTTP/1.1\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1200 OK\r\n",
    ],
)
def test_what_is_no_start_line(line: bytes) -> None:
    assert start_line(line, 0) is None


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"bodyGET / HTTP/1.1\r\nA: b", 4),
        (b"bodyGET / HTTP/1.1\r\n\r\n", 4),
        (b"body\nHTTP/1.1 200 OK\r\nA: b", 5),
        (b"BREW / HTTP/1.1\r\nA: b", None),
        (b"GET / HTTP/1.1\r\nno header", None),
        (b"HTTP/1.1 HTTP/1.1 200 OK\r\n", 9),
        (b"PUT\nGET / HTTP/1.1\r\n", 4),
        (b"GET /" + b"x" * MAX_TARGET + b" HTTP/1.1\r\n", 0),
        (b"?GET /" + b"x" * MAX_TARGET + b" HTTP/1.1\r\n", None),
        (b"", None),
    ],
)
def test_find_start(data: bytes, found: int | None) -> None:
    assert find_start(data, 0) == (len(data) if found is None else found)


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=6), st.binary(max_size=10))
def test_chunks_read_back(chunks: list[bytes], behind: bytes) -> None:
    wire = b"".join(b"%x;ext\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    spans: list[tuple[int, int]] = []
    side = Wire(Side(memoryview(wire + behind)))
    assert read_chunked(side, 0, spans) == (len(wire), len(wire) - 2, "")
    assert [side.data[start:end] for start, end in spans] == chunks
