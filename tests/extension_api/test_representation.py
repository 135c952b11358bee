"""A plugin's representation: decoded, checked, and signed with the plugin's name."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api._models import TableRow
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


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"priority": "high"}',
        b'{"request": [{"type": "iframe", "title": "x"}]}',
        b'{"request": [{"title": "x"}]}',
        b'{"request": [{"type": "table", "title": "\xff"}]}',
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
