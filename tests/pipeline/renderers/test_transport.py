"""What raw payload and connections look like."""

from __future__ import annotations

import pytest

from kubeshark.extension_api import TableRow
from kubeshark.pipeline.renderers import transport

from ._entries import FakeEntry


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("tcp", (TableRow("Sent by", "client"), TableRow("Bytes", 5, "tcp_length"))),
        ("udp", (TableRow("Sent by", "client"), TableRow("Bytes", 5, "udp_length"))),
        (
            "sctp",
            (
                TableRow("Sent by", "client"),
                TableRow("Bytes", 4, "sctp_length"),
                TableRow("Chunks", "DATA", "sctp_chunk_type"),
            ),
        ),
    ],
)
def test_payload(entries: dict[str, FakeEntry], name: str, rows: tuple[TableRow, ...]) -> None:
    shown = transport.render(entries[name])
    assert shown
    assert shown.data[0].rows == rows
    assert (shown.data[1].type, shown.data[1].encoding) == ("hex", "base64")


def test_connection(entries: dict[str, FakeEntry]) -> None:
    shown = transport.render(entries["conn"])
    assert shown
    assert [section.title for section in shown.event] == ["Connection", "Details"]
    assert shown.event[0].rows[-1] == TableRow("Protocols", "HTTP")
    row = transport.summarize(entries["conn"])
    assert row
    assert row["summary"] == "192.0.2.1 → 192.0.2.2:80, 0 B out, 0 B in"
