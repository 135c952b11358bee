"""What rows of Thrift look like."""

from __future__ import annotations

from struct import pack

import pytest

from kubeshark.pipeline.dissectors.rpc import thrift
from kubeshark.pipeline.renderers import thrift as renderer

from ..dissectors._streams import tcp
from ._entries import FakeEntry


def message(name: str, kind: int, values: bytes = b"\0") -> bytes:
    return pack(">II", 0x80010000 | kind, len(name)) + name.encode() + pack(">i", 1) + values


def entry(asked: bytes, answered: bytes = b"") -> FakeEntry:
    return FakeEntry(thrift.THRIFT, tuple(thrift.dissect(thrift.THRIFT, [tcp(asked, answered)])[0]))


@pytest.mark.parametrize(
    ("asked", "answered", "shown"),
    [
        (message("Users:find", 1), message("Users:find", 2), ("find", "Users", 0)),
        (message("find", 1), message("find", 3), ("find", "call", 1)),
        (message("find", 1), b"", ("find", "call", 0)),
        (b"", message("find", 2, b"\x02\0\x01\x01\0"), ("find", "reply", 1)),
        (b"?", b"", ("", "", 0)),
    ],
    ids=["result", "exception", "call alone", "declared exception", "damaged"],
)
def test_row(asked: bytes, answered: bytes, shown: tuple[str, str, int]) -> None:
    found = entry(asked, answered)
    row = renderer.summarize(found)
    assert row
    assert (row["method"], row["summary"], row["status"]) == shown
    for query in (row["methodQuery"], row["summaryQuery"], row["statusQuery"]):
        assert not query or found.is_selected_by(query)


def test_others_are_not_its_own() -> None:
    other = entry(message("find", 1))
    other.protocol = type(thrift.THRIFT)(name="other", abbr="O", long_name="Other")
    assert renderer.summarize(other) is None
