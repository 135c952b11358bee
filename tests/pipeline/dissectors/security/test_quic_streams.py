"""STREAM frames in packets, and the frames in which streams are handed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.security._quic_streams import handed_frames, pack_frame, stream_frames, varint
from kubeshark.pipeline.tls import Cursor

from ._quic import crypto
from ._quic import varint as packed


@pytest.mark.parametrize(
    ("data", "value"),
    [("25", 37), ("7bbd", 15_293), ("9d7f3e7d", 494_878_333), ("c2197c5eff14e88c", 151_288_809_941_952_652)],
    ids=["1", "2", "4", "8"],
)
def test_integers_of_rfc_9000(data: str, value: int) -> None:
    """§A.1."""
    assert varint(Cursor(bytes.fromhex(data))) == value


def test_stream_frames() -> None:
    payload = (
        b"\x0f" + packed(4) + packed(100) + packed(3) + b"abc"  # offset, length, final
        + b"\x02\x05\x00\x01\x00\x00\x00"  # ACK
        + crypto(b"ticket")
        + b"\x07\x02to" + b"\x04\1\2\3" + b"\x05\1\2" + b"\x10\1" + b"\x11\1\2" + b"\x12\1" + b"\x19\1"
        + b"\x18\x01\x00\x04idid" + bytes(16)
        + b"\x1a12345678" + b"\x1b12345678" + b"\x1e" + b"\x31\x02dg" + b"\0\1"
        + b"\x0a" + packed(8) + packed(1) + b"x"
        + b"\x08" + packed(0) + b"the rest"
    )  # fmt: skip
    assert list(stream_frames(payload)) == [
        (4, 100, b"abc", True),
        (8, 0, b"x", False),
        (0, 0, b"the rest", False),
    ]


def test_unknown_frames_end_a_packet() -> None:
    assert list(stream_frames(b"\x21" + b"\x08\0data")) == []
    assert list(stream_frames(b"\x0a\0\x05cut")) == []
    assert [frame.data for frame in stream_frames(b"\x08\0")] == [b""]


def test_frames_handed_over() -> None:
    data = pack_frame(4, b"abc") + pack_frame(4, b"", missing=1_000) + pack_frame(8, b"", is_final=True)
    one, gap, last = handed_frames(data)
    assert (one.stream, data[one.start : one.end], one.is_final, one.missing) == (4, b"abc", False, 0)
    assert (gap.stream, gap.missing) == (4, 1_000)
    assert (last.stream, last.start, last.is_final) == (8, last.end, True)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    list(stream_frames(data))
    for frame in handed_frames(data):
        assert 0 <= frame.start <= frame.end <= len(data)
