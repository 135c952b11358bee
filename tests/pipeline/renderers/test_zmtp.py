"""What ZMTP looks like in a list."""

from __future__ import annotations

from kubeshark.pipeline.dissectors.messaging.zmtp import ZMTP, dissect
from kubeshark.pipeline.renderers import zmtp

from ..dissectors._streams import tcp
from ._entries import FakeEntry

GREETING = b"\xff" + bytes(7) + b"\x01\x7f\x03\x01" + b"PLAIN".ljust(52, b"\0")


def test_row() -> None:
    found = dissect(ZMTP, [tcp(GREETING + b"\x04\x09\x05ERROR\x02no")])[0]
    shown = FakeEntry(ZMTP, (found[-1],))
    row = zmtp.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("ERROR", "no", 1)
    assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))
