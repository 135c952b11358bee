"""Traffic whose rows tests of tables look at: HTTP that was answered, refused and left, and a question to DNS."""

from __future__ import annotations

from collections.abc import Sequence

from kubeshark.pipeline import Plugins
from kubeshark.pipeline.query._query import Query
from tests.pipeline._traffic import Capture, Connection, dns, make_query

__all__ = ["query", "traffic"]

BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


def traffic() -> Capture:
    capture = Capture()
    first = Connection(capture).open().ask().answer()
    second = Connection(capture, client_port=40_001).open().ask().answer(BUSY)
    capture.add(dns(1))
    first.ask()  # never answered
    second.ask().answer()
    return capture


def query(kfl: str, cuts: Sequence[int] = ()) -> Query:
    return make_query(traffic().segments(*cuts), kfl, Plugins())
