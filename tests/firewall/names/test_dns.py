"""DNS messages: what a real server says is read, what is wrong with others is found."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.firewall.names._dns import Question, parse_answer, parse_question, write_question

QUESTION = Question(7, "www.example.test", 1)


def record(name: bytes, kind: int, data: bytes, ttl: int = 60) -> bytes:
    return name + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def response(*records: bytes, flags: int = 0x8180) -> bytes:
    asked = write_question(QUESTION)
    return struct.pack("!6H", 7, flags, 1, len(records), 0, 0) + asked[12:] + b"".join(records)


def label(text: str) -> bytes:
    return b"".join(bytes((len(each),)) + each.encode() for each in text.split(".")) + b"\0"


def test_what_was_asked_is_read_again() -> None:
    assert parse_question(write_question(QUESTION)) == QUESTION
    assert parse_question(write_question(QUESTION).replace(b"www", b"WwW")) == QUESTION


def test_addresses_over_aliases() -> None:
    answer = parse_answer(
        response(
            record(b"\xc0\x0c", 5, label("edge.cdn.test"), 30),
            record(label("edge.cdn.test"), 1, bytes((192, 0, 2, 1)), 300),
            record(label("edge.cdn.test"), 1, bytes((192, 0, 2, 2)), 300),
            record(label("elsewhere.test"), 1, bytes((192, 0, 2, 3)), 300),  # nobody asked
        )
    )
    assert answer.names == ("www.example.test", "edge.cdn.test")
    assert [str(each) for each in answer.addresses] == ["192.0.2.1", "192.0.2.2"]
    assert (answer.ttl_s, answer.code, answer.is_cut) == (30, 0, False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        write_question(QUESTION),  # no response
        response(flags=0x8980),  # another operation
        response(record(b"\xc0\x0c", 1, b"abc")),  # no address
        response(record(b"\xc0\xff", 1, b"abcd")),  # leads forwards
        response(record(b"\xc0\x0c", 5, label("a.test") + b"more")),
        response()[:20],
        response(record(b"\xc0\x0c", 1, b"abcd"))[:-1],
        response().replace(b"www", b"w.w"),
        response().replace(b"www", b"w\0w"),
        response(record(label("a" * 63 + "." + "b" * 63 + "." + "c" * 63 + "." + "d" * 63), 1, b"abcd")),
    ],
)
def test_what_is_wrong_is_found(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_answer(data)


@given(st.binary(max_size=300))
def test_any_bytes_end(data: bytes) -> None:
    for parse in (parse_question, parse_answer):
        try:
            parse(data)
        except ValueError:
            continue


@given(st.integers(0, 200), st.integers(0, 255))
def test_changed_bytes_end(at: int, value: int) -> None:
    data = bytearray(response(record(b"\xc0\x0c", 5, label("edge.test")), record(label("edge.test"), 1, b"abcd")))
    data[at % len(data)] = value
    try:
        answer = parse_answer(bytes(data))
    except ValueError:
        return
    assert len(answer.addresses) <= 1


@pytest.mark.parametrize("name", ["a..test", "x" * 64 + ".test", ".".join(["abcdefgh"] * 40), "ä.test"])
def test_what_is_no_name_is_not_asked(name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        write_question(Question(1, name, 1))
