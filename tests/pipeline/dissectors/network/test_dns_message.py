"""DNS messages off the wire, whole and hostile."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.network._dns_message import FormatError, Names, Question, parse_message, read_name

EXAMPLE = b"\x07example\x03com\0"


def header(*counts: int, flags: int = 0x0100, number: int = 0x5B21) -> bytes:
    return pack(">6H", number, flags, *counts, *[0] * (4 - len(counts)))


@pytest.mark.parametrize(
    ("wire", "at", "name", "end"),
    [
        (b"\0", 0, ".", 1),
        (EXAMPLE, 0, "example.com", 13),
        (EXAMPLE + b"\x03www\xc0\x00", 13, "www.example.com", 19),
        (EXAMPLE + b"\xc0\x08", 13, "com", 15),
        (EXAMPLE + b"\xc0\x00\xc0\x0d", 15, "example.com", 17),
        (b"\x03a.b\x02c\\\0", 0, "a\\.b.c\\\\", 8),
        (b"\x0aOne Printr\0", 0, "One Printr", 12),
        (b"\x06K\xc3\xb6ln!\0", 0, "Köln!", 8),
        (b"\x02\xe4\xff\0", 0, "äÿ", 4),
        (b"\x03a\x07\x1b\0", 0, "a\\007\\027", 5),
        (b"\x3f" + b"x" * 63 + b"\0", 0, "x" * 63, 65),
    ],
)
def test_names(wire: bytes, at: int, name: str, end: int) -> None:
    assert read_name(wire, at, {}) == (name, end)


@pytest.mark.parametrize(
    ("wire", "at"),
    [
        (b"", 0),
        (b"\x03ab", 0),
        (b"\x03abc", 0),
        (b"\xc0", 0),
        (b"\xc0\x00", 0),  # to itself
        (b"\xc0\x02\xc0\x00", 0),  # forward
        (b"\x01a\xc0\x00", 0),  # into its own labels
        (b"\xc0\x02\xc0\x00", 2),  # to a pointer that comes back
        (b"\x40" + bytes(64), 0),
        (b"\x80" + bytes(64), 0),
        ((b"\x3f" + b"x" * 63) * 4 + b"\0", 0),  # longer than 255
        (b"\0" + b"".join(pack(">H", 0xC000 | max(0, at - 2)) for at in range(1, 101, 2)), 99),  # a chain of pointers
    ],
)
def test_bad_names(wire: bytes, at: int) -> None:
    with pytest.raises(FormatError):
        read_name(wire, at, {})


def test_what_a_pointer_led_to_is_read_once() -> None:
    wire = EXAMPLE + b"\x03www\xc0\x00" + b"\x01a\xc0\x0d" + b"\x01b\xc0\x0d" + b"\xc0\x0c"
    seen: Names = {}
    assert [read_name(wire, at, seen) for at in (13, 19, 23, 27)] == [
        ("www.example.com", 19),
        ("a.www.example.com", 23),
        ("b.www.example.com", 27),
        (".", 29),
    ]
    assert seen == {0: ("example.com", 12), 13: ("www.example.com", 16), 12: ("", 0)}


def test_a_name_is_too_long_with_what_was_seen() -> None:
    long = (b"\x3f" + b"x" * 63) * 3 + b"\0"
    wire = long + (b"\x3f" + b"y" * 63) + b"\xc0\x00"
    seen: Names = {}
    read_name(wire + b"\xc0\x00", len(wire), seen)
    with pytest.raises(FormatError, match="longer than 255"):
        read_name(wire, len(long), seen)


def test_sections_are_kept_until_the_damage() -> None:
    record = EXAMPLE + pack(">HHIH", 1, 1, 60, 4) + b"\xc0\x00\x02\x01"
    wire = header(1, 3, flags=0x8180) + EXAMPLE + pack(">HH", 1, 1) + record + record + b"\xc0"
    message = parse_message(wire)
    assert message.questions == [Question("example.com", 1, 1)]
    assert [wire[answer.start : answer.end] for answer in message.answers] == [b"\xc0\x00\x02\x01"] * 2
    assert message.error == f"malformed: name ends early at {len(wire)}"
    assert message.end == len(wire) - 1


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (b"", "truncated: 0 bytes are no DNS header"),
        (header(1)[:-1], "truncated: 11 bytes are no DNS header"),
        (header(1) + EXAMPLE + b"\0", "malformed: question ends early at 25"),
        (header(0, 1) + EXAMPLE + bytes(9), "malformed: record ends early at 25"),
        (
            header(0, 1) + EXAMPLE + pack(">HHIH", 1, 1, 0, 5) + b"1234",
            "malformed: record data of 5 bytes ends early at 35",
        ),
        (header(0) + b"more", "malformed: 4 bytes behind the last record at 12"),
        (header(0), ""),
    ],
)
def test_errors_say_where(wire: bytes, error: str) -> None:
    assert parse_message(wire).error == error


def test_extended_rcode() -> None:
    wire = header(0, 0, 0, 1, flags=0x8000) + b"\0" + pack(">HHIH", 41, 1232, 0x0100_0000, 0)
    assert parse_message(wire).rcode == 16


@given(st.binary(max_size=80).map(lambda rest: header(2, 2, 1, 1) + rest))
def test_anything_can_be_parsed(wire: bytes) -> None:
    message = parse_message(wire)
    assert 12 <= message.end <= len(wire)
    assert message.error or message.end == len(wire)
