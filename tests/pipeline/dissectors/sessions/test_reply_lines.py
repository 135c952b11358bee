"""Lines and replies of SMTP and FTP."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.sessions._reply_lines import (
    MAX_LINE,
    Reply,
    is_tls,
    line_at,
    read_lines,
    read_replies,
)

from .._streams import tcp


def wire(data: bytes, *gaps: tuple[int, int, int], midway: bool = False) -> Wire:
    return Wire(tcp(data, midway=midway, gaps={0: gaps}).sides[0])


def replies(data: bytes, *gaps: tuple[int, int, int], midway: bool = False) -> list[Reply]:
    return read_replies(wire(data, *gaps, midway=midway))[0]


def test_lines() -> None:
    found = list(read_lines(wire(b"one\r\ntwo\nthr")))
    assert [(line.text, line.error) for line in found] == [
        (b"one", ""),
        (b"two", ""),
        (b"thr", "truncated: only 3 bytes were captured"),
    ]


def test_tls_ends_the_lines() -> None:
    data = b"AUTH TLS\r\n\x16\x03\x01rest"
    assert [line.text for line in read_lines(wire(data))] == [b"AUTH TLS"]
    assert is_tls(data, 10)
    assert read_replies(wire(b"234 go\r\n\x16\x03\x01")) == ([Reply(0, 8, 234, [b"go"])], 8)


def test_line_without_end() -> None:
    line = line_at(wire(b"x" * (MAX_LINE + 9)), 0)
    assert (line.end, line.error[:9]) == (MAX_LINE, "malformed")


def test_replies() -> None:
    data = b"220 hello\r\n250-a\r\n250-b\r\n250 c\r\n354\r\n211-Features:\r\n MDTM\r\n211 End\r\n"
    assert [(reply.code, reply.lines) for reply in replies(data)] == [
        (220, [b"hello"]),
        (250, [b"a", b"b", b"c"]),
        (354, [b""]),
        (211, [b"Features:", b" MDTM", b"End"]),
    ]


def test_reply_that_is_cut() -> None:
    assert replies(b"250-a\r\n")[0].error == "truncated: only 7 bytes were captured"


def test_what_is_no_reply_is_one_message() -> None:
    found = replies(b"220 x\r\nnonsense\r\nmore\r\n\r\n250 ok\r\n")
    assert [(reply.code, reply.error) for reply in found] == [(220, ""), (0, "malformed: no reply at 7"), (250, "")]


def test_seen_from_the_middle() -> None:
    assert [reply.code for reply in replies(b"st of a line\r\n250 ok\r\n", midway=True)] == [250]


def test_gaps() -> None:
    data = b"250 on" + bytes(4) + b"e\r\n250 two\r\n" + bytes(4) + b"junk\r\n250 three\r\n"
    found = replies(data, (6, 10, 4), (22, 26, 4))
    assert [(reply.lines, reply.error) for reply in found] == [
        ([b"on"], "gap: 4 bytes missing at 6"),
        ([b"two"], ""),
        ([b"three"], ""),
    ]


@given(st.binary(max_size=120), st.booleans(), st.integers(0, 60))
def test_any_bytes(data: bytes, midway: bool, at: int) -> None:
    data = b"250-x\r\n250 y\r\n"[:at] + data
    gaps = [(at, min(at + 5, len(data)), 9)] if at < len(data) else []
    end = 0
    for reply in replies(data, *gaps, midway=midway):
        assert end <= reply.start < reply.end <= len(data)
        end = reply.end
    end = 0
    for line in read_lines(wire(data, *gaps)):
        assert end <= line.start < line.end <= len(data)
        end = line.end
