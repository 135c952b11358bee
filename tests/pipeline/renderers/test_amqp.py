"""What AMQP looks like in a list."""

from __future__ import annotations

from kubeshark.pipeline.dissectors.amqp import AMQP, dissect
from kubeshark.pipeline.renderers import amqp

from ..dissectors._streams import tcp
from ._entries import FakeEntry

CLOSE = b"\x01\0\1\0\0\0\x0d\0\x14\0\x28\x01\x94\x02no\0\0\0\0\xce"


def test_row() -> None:
    shown = FakeEntry(AMQP, tuple(dissect(AMQP, [tcp(CLOSE, port=5672)])[0]))
    row = amqp.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("channel close", "no", 404)
    assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))
