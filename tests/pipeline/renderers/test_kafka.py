"""What rows of Kafka look like."""

from __future__ import annotations

from struct import pack

import pytest

from kubeshark.pipeline.dissectors.messaging import kafka
from kubeshark.pipeline.renderers import kafka as renderer

from ..dissectors._streams import tcp
from ._entries import FakeEntry


def frame(data: bytes) -> bytes:
    return pack(">i", len(data)) + data


FIND = frame(pack(">hhi", 10, 0, 3) + b"\0\x03app" + b"\0\x05group")
FOUND = frame(pack(">ihi", 3, 15, -1) + b"\0\0" + pack(">i", -1))
METADATA = frame(pack(">hhi", 3, 0, 4) + b"\0\x03app" + pack(">i", 1) + b'\0\x05or"d\x1b')


def entry(asked: bytes, answered: bytes = b"") -> FakeEntry:
    return FakeEntry(kafka.KAFKA, tuple(kafka.dissect(kafka.KAFKA, [tcp(asked, answered, port=9092)])[0]))


@pytest.mark.parametrize(
    ("asked", "answered", "shown"),
    [
        (FIND, FOUND, ("FIND_COORDINATOR", "app", 15)),
        (METADATA, b"", ("METADATA", 'or"d\x1b', 0)),
        (b"", FOUND, ("", "", 0)),
    ],
    ids=["client id", "topics", "answer alone"],
)
def test_row(asked: bytes, answered: bytes, shown: tuple[str, str, int]) -> None:
    found = entry(asked, answered)
    row = renderer.summarize(found)
    assert row
    assert (row["method"], row["summary"], row["status"]) == shown
    for query in (row["methodQuery"], row["summaryQuery"], row["statusQuery"]):
        assert not query or found.is_selected_by(query)


def test_others_are_not_its_own() -> None:
    other = entry(FIND, FOUND)
    other.protocol = type(kafka.KAFKA)(name="other", abbr="O", long_name="Other")
    assert renderer.summarize(other) is None
