"""A plugin's representation: decoded, checked, and signed with the plugin's name."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api._models import ByteRange, TableRow, TimelinePoint
from kubeshark.extension_api._representation import RepresentationError, parse_representation


def test_sections_come_out_as_they_were_written() -> None:
    text = b"""{"priority": 10, "note": "ignored", "request": [
        {"type": "table", "title": "T", "tableData": [{"name": "a", "value": 1, "selector": "x_a"}, {"name": "b"}]},
        {"type": "body", "title": "B", "body": "AA==", "encoding": "base64", "mimeType": "image/png"}]}"""
    found = parse_representation(text, "demo@1.0.0")
    table, body = found.request
    assert (found.priority, found.response, table.plugin) == (10, (), "demo@1.0.0")
    assert table.rows == (TableRow("a", 1, "x_a"), TableRow("b", None, ""))
    assert (body.body, body.encoding, body.mime_type) == ("AA==", "base64", "image/png")


def test_points_and_ranges() -> None:
    text = b"""{"event": [
        {"type": "timeline", "title": "T", "points": [
            {"t": 0, "label": "a", "direction": "client"}, {"t": 9, "label": "b"}]},
        {"type": "hex", "title": "H", "ranges": [{"start": 1, "end": 3, "name": "n", "selector": "x_n"}]}]}"""
    line, dump = parse_representation(text, "demo@1.0.0").event
    assert line.points == (TimelinePoint(0, "a", "client"), TimelinePoint(9, "b"))
    assert dump.ranges == (ByteRange(1, 3, "n", "x_n"),)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"priority": "high"}',
        b'{"request": [{"type": "iframe", "title": "x"}]}',
        b'{"request": [{"title": "x"}]}',
        b'{"request": [{"type": "table", "title": "\xff"}]}',
        b'{"event": [{"type": "timeline", "title": "x", "points": [{"t": -1, "label": "x"}]}]}',
        b'{"event": [{"type": "timeline", "title": "x", "points": [{"t": 1.5, "label": "x"}]}]}',
        b'{"event": [{"type": "timeline", "title": "x", "points": [{"t": 1, "label": "x", "direction": "up"}]}]}',
        b'{"event": [{"type": "hex", "title": "x", "ranges": [{"start": 0, "end": 4294967296, "name": "x"}]}]}',
        b'{"event": [{"type": "timeline", "title": "x", "points": ['
        + b",".join([b'{"t": 1, "label": ""}'] * 100_001)
        + b"]}]}",
        b"[" * 100_000,
        b'{"request": [' + b",".join([b'{"type": "body", "title": ""}'] * 257) + b"]}",
    ],
)
def test_what_is_no_representation_is_refused(text: bytes) -> None:
    with pytest.raises(RepresentationError):
        parse_representation(text, "demo@1.0.0")


@given(st.binary(max_size=100))
def test_arbitrary_bytes_raise_nothing_else(text: bytes) -> None:
    with suppress(RepresentationError):
        parse_representation(text, "demo@1.0.0")
