"""Thrift streams in, messages out."""

from __future__ import annotations

import zlib
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.rpc import thrift

from .._streams import FakeStream, tcp

CALL, REPLY, EXCEPTION, ONEWAY = 1, 2, 3, 4
ARGUMENTS = (
    b"\x0b\0\x01" + pack(">i", 3) + b"bob"
    + b"\x08\0\x02" + pack(">i", -7)
    + b"\x0f\0\x03\x0b" + pack(">i", 2) + pack(">i", 1) + b"a" + pack(">i", 1) + b"b"
    + b"\x0d\0\x04\x0b\x0a" + pack(">i", 1) + pack(">i", 1) + b"k" + pack(">q", 9)
    + b"\x0c\0\x05" + b"\x02\0\x01\x01" + b"\0"
    + b"\x04\0\x06" + pack(">d", 0.5)
    + b"\x0b\0\x07" + pack(">i", 2) + b"\xff\0"
    + b"\0"
)  # fmt: skip
SHOWN = {"1": "bob", "2": -7, "3": ["a", "b"], "4": {"k": 9}, "5": {"1": True}, "6": 0.5, "7": "base64:/wA="}
COMPACT_ARGUMENTS = (
    b"\x18\x03bob" + b"\x15\x0d" + b"\x19\x28\x01a\x01b" + b"\x1b\x01\x86\x01k\x12"
    + b"\x1c\x11\0" + b"\x17" + pack("<d", 0.5) + b"\x18\x02\xff\0" + b"\0"
)  # fmt: skip


def binary(method: str, kind: int = CALL, sequence: int = 1, values: bytes = ARGUMENTS) -> bytes:
    return pack(">IiI", 0x80010000 | kind, len(method), 0)[:8] + method.encode() + pack(">i", sequence) + values


def old(method: str, kind: int = CALL, sequence: int = 1, values: bytes = ARGUMENTS) -> bytes:
    return pack(">i", len(method)) + method.encode() + bytes([kind]) + pack(">i", sequence) + values


def compact(method: str, kind: int = CALL, sequence: int = 1, values: bytes = COMPACT_ARGUMENTS) -> bytes:
    return bytes([0x82, 1 | kind << 5, sequence, len(method)]) + method.encode() + values


def framed(data: bytes) -> bytes:
    return pack(">i", len(data)) + data


def header(data: bytes, *, sequence: int = 5, protocol: int = 0, transforms: bytes = b"\0", info: bytes = b"") -> bytes:
    words = bytes([protocol]) + transforms + info
    words += bytes(-len(words) % 4)
    return framed(b"\x0f\xff\0\0" + pack(">IH", sequence, len(words) // 4) + words + data)


FORMS = {
    "binary framed": (lambda *args: framed(binary(*args)), "binary", "framed"),
    "binary": (binary, "binary", "unframed"),
    "old framed": (lambda *args: framed(old(*args)), "binary", "framed"),
    "old": (old, "binary", "unframed"),
    "compact framed": (lambda *args: framed(compact(*args)), "compact", "framed"),
    "compact": (compact, "compact", "unframed"),
}


def messages(stream: FakeStream) -> list[Message]:
    return list(thrift.dissect(thrift.THRIFT, [stream])[0])


def is_mine(stream: FakeStream) -> bool:
    return thrift.probe(thrift.THRIFT, [stream]) == [Verdict.MINE]


def document(message: Message) -> dict[str, Any]:
    assert message.detail
    return dict(message.detail()[1])


@pytest.mark.parametrize("form", FORMS)
def test_call_and_reply(form: str) -> None:
    make, protocol, transport = FORMS[form]
    stream = tcp(make("Users:find", CALL, 1), make("Users:find", REPLY, 1), port=7000)
    assert is_mine(stream)
    asked, answered = messages(stream)
    assert asked.fields == {
        "thrift_method": "find",
        "thrift_service": "Users",
        "thrift_type": "call",
        "thrift_protocol": protocol,
        "thrift_transport": transport,
        "thrift_request": True,
        "thrift_request_size": len(make("Users:find", CALL, 1)),
    }
    assert (asked.kind, asked.key, asked.error, asked.one_way) == (MessageKind.REQUEST, "1", "", False)
    assert document(asked)["arguments"] == SHOWN
    assert (answered.kind, answered.key, answered.fields["thrift_type"]) == (MessageKind.RESPONSE, "1", "reply")
    assert answered.fields["thrift_success"] is False  # its first field is 1: an exception that the interface declares
    assert document(answered)["result"] == SHOWN


@pytest.mark.parametrize("form", FORMS)
def test_results(form: str) -> None:
    make, protocol, _ = FORMS[form]
    result = b"\x02\0\0\x01\0" if protocol == "binary" else b"\x01\0\0"
    found = messages(tcp(b"", make("find", REPLY, 1, result) + make("ping", REPLY, 2, b"\0")))
    assert [message.fields["thrift_success"] for message in found] == [True, True]
    assert [document(message)["result"] for message in found] == [{"0": True}, {}]


@pytest.mark.parametrize("form", FORMS)
def test_pipelined_and_one_way(form: str) -> None:
    make = FORMS[form][0]
    found = messages(tcp(make("log", ONEWAY, 1) + make("find", CALL, 2) + make("log", ONEWAY, 3)))
    assert [(message.key, message.one_way, message.error) for message in found] == [
        ("1", True, ""),
        ("2", False, ""),
        ("3", True, ""),
    ]


def test_exception() -> None:
    values = b"\x0b\0\x01" + pack(">i", 4) + b"oops" + b"\x08\0\x02" + pack(">i", 1) + b"\0"
    _, answered = messages(tcp(framed(binary("find")), framed(binary("find", EXCEPTION, 1, values))))
    assert (answered.fields["thrift_error_message"], answered.fields["thrift_success"]) == ("oops", False)
    assert document(answered)["exception"] == {"message": "oops", "code": 1, "name": "UNKNOWN_METHOD"}


def test_header_transport() -> None:
    info = b"\x01\x01\x05trace\x02ab"
    wire = header(binary("find"), info=info) + header(
        zlib.compress(compact("find")), sequence=6, protocol=2, transforms=b"\x01\x01"
    )
    stream = tcp(wire, port=7000)
    assert is_mine(stream)
    first, second = messages(stream)
    assert (first.key, first.error, first.fields["thrift_transport"]) == ("5", "", "header")
    assert (document(first)["headers"], document(first)["arguments"]) == ({"trace": "ab"}, SHOWN)
    assert (second.key, second.fields["thrift_protocol"], document(second)["arguments"]) == ("6", "compact", SHOWN)


def test_transform_that_is_not_undone() -> None:
    (message,) = messages(tcp(header(b"whatever", transforms=b"\x01\x03")))
    assert message.error == "malformed: transform snappy is not undone"


@pytest.mark.parametrize("form", FORMS)
def test_every_cut(form: str) -> None:
    make = FORMS[form][0]
    wire = make("find", CALL, 1)
    for cut in range(1, len(wire)):
        found = messages(tcp(wire + wire[:cut]))
        assert found[0].error == ""
        assert len(found) == 2
        assert found[1].error


def test_deep_and_long_values_are_bounded() -> None:
    deep = framed(binary("find", CALL, 1, b"\x0c\0\x01" * 100 + bytes(101)))
    (message,) = messages(tcp(deep))
    assert "deeper than" in str(document(message))
    long = b"\x0f\0\x01\x03" + pack(">i", 200_000) + bytes(200_001)
    (message,) = messages(tcp(framed(binary("find", CALL, 1, long))))
    assert "more than" in str(document(message))


def test_seen_from_the_middle() -> None:
    found = messages(tcp(b"tail of something" + framed(binary("a")) + framed(binary("b")), midway=True))
    assert [message.fields["thrift_method"] for message in found] == ["a", "b"]
    found = messages(tcp(b"tail of something" + binary("a") + binary("b"), midway=True))
    assert [message.fields["thrift_method"] for message in found] == ["a", "b"]


@pytest.mark.parametrize("form", ["binary framed", "binary", "compact framed"])
@pytest.mark.parametrize("junk", [b"?", b"\0", b"\x82\x21\0"], ids=["text", "zeros", "like a message"])
def test_message_behind_megabytes_of_others(form: str, junk: bytes) -> None:
    wire = FORMS[form][0]("find", CALL, 1)
    lost = 3 * (1 << 20)
    junk *= lost // len(junk)
    found = messages(tcp(junk + wire + wire, midway=True))
    assert [message.start for message in found] == [lost, lost + len(wire)]
    found = messages(tcp(wire + bytes(9) + junk + wire, gaps={0: [(len(wire), len(wire) + 9, 9)]}))
    assert [message.start for message in found] == [0, len(wire) + 9 + lost]


@pytest.mark.parametrize("form", ["binary framed", "binary", "compact framed"])
def test_gap_spoils_the_message_it_is_in(form: str) -> None:
    wire = FORMS[form][0]("find", CALL, 1)
    size = len(wire)
    lost = wire + wire[: size - 20] + bytes(6) + wire[size - 14 :] + wire
    found = messages(tcp(lost, gaps={0: [(2 * size - 20, 2 * size - 14, 6)]}))
    assert [message.error for message in found] == ["", f"gap: 6 bytes missing at {2 * size - 20}", ""]


def test_gap_over_a_length() -> None:
    wire = framed(binary("find"))
    lost = wire + bytes(6) + wire[6:] + wire
    found = messages(tcp(lost, gaps={0: [(len(wire), len(wire) + 6, 6)]}))
    assert [message.start for message in found] == [0, 2 * len(wire)]


def test_senseless_bytes_spoil_one_message() -> None:
    wire = framed(binary("find"))
    found = messages(tcp(wire + b"\xfe" * 9 + wire))
    assert [message.error for message in found] == ["", f"malformed: no message at {len(wire)}", ""]


@pytest.mark.parametrize(
    ("payload", "mine"),
    [
        (framed(binary("find") + b"!"), False),
        (framed(binary("fi nd")), False),
        (framed(binary("find", 5)), False),
        (binary("find")[:-1], False),
        (old("find") + b"more", False),
        (b"GET / HTTP/1.1\r\n\r\n", False),
        (bytes(40), False),
        (b"\0\0\0\x02\0\0", False),
        (b"", False),
    ],
    ids=str,
)
def test_probe(payload: bytes, mine: bool) -> None:
    assert is_mine(tcp(payload, port=9090)) is mine


def check(stream: FakeStream) -> None:
    thrift.probe(thrift.THRIFT, [stream])
    end = 0
    for message in messages(stream):
        assert end <= message.start < message.end <= len(stream.sides[0].data)
        end = message.end
        if message.detail:
            message.detail()


@given(st.sampled_from(sorted(FORMS)), st.binary(max_size=100), st.booleans(), st.integers(0, 150))
def test_any_bytes(form: str, junk: bytes, midway: bool, at: int) -> None:
    wire = FORMS[form][0]("find", CALL, 1) * 2
    wire = wire[:at] + junk + wire[at:]
    gap = (at, min(at + 7, len(wire)), 70)
    check(tcp(wire, midway=midway, gaps={0: [gap]} if gap[1] > at else {}))


@given(st.sampled_from(sorted(FORMS)), st.integers(0, 1000), st.integers(0, 255))
def test_hostile_byte(form: str, at: int, byte: int) -> None:
    wire = bytearray(FORMS[form][0]("find", CALL, 1) * 2 + header(zlib.compress(binary("x")), transforms=b"\x01\x01"))
    wire[at % len(wire)] = byte
    check(tcp(bytes(wire)))


def test_many_damaged_messages_are_read_in_linear_time() -> None:
    bad = binary("find", CALL, 1, b"\x0f\0\x01\x03" + pack(">i", 90_000))
    check(tcp(bad * 20_000))


def test_search_that_is_given_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thrift, "MAX_LOST", 0)
    bad = binary("find", CALL, 1, b"\x0f\0\x01\x03" + pack(">i", 1 << 24))
    (found,) = messages(tcp(bad + binary("find")))
    assert found.error.endswith("; too many messages are damaged: from 16 on none is searched for")
