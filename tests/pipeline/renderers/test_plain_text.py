"""Representations in a terminal."""

from __future__ import annotations

import base64

import pytest

from kubeshark.extension_api import Representation, Section, TableRow, TimelinePoint
from kubeshark.pipeline.renderers import to_text
from kubeshark.pipeline.renderers._plain_text import HEX_BYTES, printable


def test_layout() -> None:
    shown = Representation(
        10,
        request=(
            Section("table", "Request", rows=(TableRow("Method", "GET"), TableRow("Ok", True), TableRow("None", None))),
            Section("body", "Body", body="one\r\ntwo\tthree"),
        ),
        data=(Section("hex", "Payload", body=base64.b64encode(b"hi\x1b").decode(), encoding="base64"),),
    )
    assert to_text(shown) == "\n".join(
        (
            "REQUEST",
            "",
            "  Request",
            "    Method  GET",
            "    Ok      true",
            "    None    -",
            "",
            "  Body",
            "    one",
            "    two three",
            "",
            "DATA",
            "",
            "  Payload",
            "    0000  68 69 1b                                         hi.",
        )
    )


def test_a_timeline() -> None:
    points = (
        TimelinePoint(0, "ask\x1b", "client"),
        TimelinePoint(12_345_678, "answer", "server"),
        TimelinePoint(9, "?"),
    )
    shown = to_text(Representation(10, event=(Section("timeline", "Over time", points=points),)))
    assert shown.splitlines()[3:] == [
        "     0.000000 s  → ask\\x1b",
        "    12.345678 s  ← answer",
        "     0.000009 s    ?",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode", "plain ünïcode"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb\u2066", "a\\u202eb\\u2066"),
        ("\x9b31m\x07", "\\x9b31m\\x07"),
        ("a\nb", "a\\nb"),
        ("end\r", "end"),
        ("over\rwritten", "over\\rwritten"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_hex_is_cut() -> None:
    body = base64.b64encode(bytes(HEX_BYTES + 5)).decode()
    text = to_text(Representation(0, data=(Section("hex", "x", body=body, encoding="base64"),)))
    assert text.endswith("… 5 more bytes")


def test_base64_that_is_none_is_shown_as_bytes() -> None:
    text = to_text(Representation(0, data=(Section("hex", "x", body="%%", encoding="base64"),)))
    assert "25 25" in text
