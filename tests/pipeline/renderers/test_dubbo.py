"""What rows of Dubbo look like."""

from __future__ import annotations

from struct import pack

import pytest

from kubeshark.pipeline.dissectors.rpc import dubbo
from kubeshark.pipeline.renderers import dubbo as renderer

from ..dissectors._streams import tcp
from ._entries import FakeEntry


def message(body: bytes, flags: int, status: int = 0) -> bytes:
    return pack(">2sBBqI", b"\xda\xbb", flags, status, 1, len(body)) + body


CALL = message(b"\x052.0.2\x04shop\x031.0\x05count\0HZ", 0xC2)


def entry(asked: bytes, answered: bytes = b"") -> FakeEntry:
    return FakeEntry(dubbo.DUBBO, tuple(dubbo.dissect(dubbo.DUBBO, [tcp(asked, answered)])[0]))


@pytest.mark.parametrize(
    ("asked", "answered", "shown"),
    [
        (CALL, message(b"\x91N", 2, 20), ("count", "shop", 20)),
        (CALL, b"", ("count", "shop", 0)),
        (message(b"N", 0xE2), b"", ("event", "", 0)),
        (b"", message(b"\x04oops", 2, 80), ("", "", 80)),
        (b"?", b"", ("", "", 0)),
    ],
    ids=["result", "call alone", "heartbeat", "error alone", "damaged"],
)
def test_row(asked: bytes, answered: bytes, shown: tuple[str, str, int]) -> None:
    found = entry(asked, answered)
    row = renderer.summarize(found)
    assert row
    assert (row["method"], row["summary"], row["status"]) == shown
    for query in (row["methodQuery"], row["summaryQuery"], row["statusQuery"]):
        assert not query or found.is_selected_by(query)


def test_others_are_not_its_own() -> None:
    other = entry(CALL)
    other.protocol = type(dubbo.DUBBO)(name="other", abbr="O", long_name="Other")
    assert renderer.summarize(other) is None
