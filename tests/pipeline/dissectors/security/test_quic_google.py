"""Google's QUIC: CHLO in clear behind public headers."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.security._quic_google import find_chlo, google_version, read_tags


def chlo(**tags: bytes) -> bytes:
    entries, values = b"", b""
    for name, value in tags.items():
        values += value
        entries += name.encode().ljust(4, b"\0") + pack("<I", len(values))
    return b"CHLO" + pack("<HH", len(tags), 0) + entries + values


HELLO = chlo(SNI=b"example.org", UAID=b"Agent/1", PDMD=b"X509")
PUBLIC = b"\x09" + b"connid_8" + b"Q043" + b"\x01" + bytes(12) + b"\xa0\x01\x00\x04" + HELLO
LONG = b"\xc3Q046\x50" + b"connid_8" + bytes(4) + bytes(12) + b"\xa0\x01\x00\x04" + HELLO


@pytest.mark.parametrize(("data", "version"), [(PUBLIC, "Q043"), (LONG, "Q046")], ids=["Q043", "Q046"])
def test_chlo(data: bytes, version: str) -> None:
    hello = find_chlo(data)
    assert hello
    assert (hello.version, hello.connection_id, hello.sni, hello.agent) == (
        version,
        b"connid_8",
        "example.org",
        "Agent/1",
    )
    assert data[hello.start : hello.start + 4] == b"CHLO"


@pytest.mark.parametrize(
    "data",
    [
        b"\x08" + PUBLIC[1:],
        b"\x0b" + PUBLIC[1:],
        PUBLIC[:9] + b"Z043" + PUBLIC[13:],
        LONG[:1] + b"Q051" + LONG[5:],
        b"",
    ],
    ids=["no version", "reset", "letter", "later", "nothing"],
)
def test_what_is_no_google_quic(data: bytes) -> None:
    assert google_version(data) is None
    assert find_chlo(data) is None


def test_without_chlo() -> None:
    assert google_version(PUBLIC)
    assert find_chlo(PUBLIC.replace(b"CHLO", b"REJ\0")) is None


@pytest.mark.parametrize("size", range(len(HELLO)))
def test_tags_cut_anywhere(size: int) -> None:
    whole = read_tags(HELLO)
    assert set(read_tags(HELLO[:size]).items()) <= set(whole.items())


def test_tags_that_lie() -> None:
    assert read_tags(b"CHLO" + pack("<HH", 0xFFFF, 0) + bytes(100)) == {}
    assert read_tags(b"CHLO" + pack("<HH", 1, 0) + b"SNI\0" + pack("<I", 0xFFFF_FFFF)) == {}


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    find_chlo(data)
    read_tags(data)
    find_chlo(PUBLIC[:13] + data)
