"""Dubbo streams in, messages out."""

from __future__ import annotations

from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.rpc import dubbo

from .._streams import FakeStream, tcp

PORT = 20880
HESSIAN2, FASTJSON, FASTJSON2, JAVA = 2, 6, 23, 3
OK, SERVICE_ERROR = 20, 70


def message(body: bytes, *, flags: int, number: int = 7, status: int = 0) -> bytes:
    return pack(">2sBBqI", b"\xda\xbb", flags, status, number, len(body)) + body


def string(value: str) -> bytes:
    data = value.encode()
    return bytes([0x30 | len(data) >> 8, len(data) & 0xFF]) + data


CALL_BODY = (
    string("2.0.2") + string("shop.Stock") + string("1.1") + string("count") + string("Ljava/lang/String;[I")
    + string("pear") + b"\x7a\x91\x92" + b"H" + string("path") + string("shop.Stock") + b"Z"
)  # fmt: skip
CALL = message(CALL_BODY, flags=0xC0 | HESSIAN2)
RESULT = message(b"\x94" + b"\xa2" + b"H" + string("dubbo") + string("2.0.2") + b"Z", flags=HESSIAN2, status=OK)
THROWN = message(
    b"\x90C" + string("shop.Empty") + b"\x91" + string("detailMessage") + b"\x60" + string("none left"),
    flags=HESSIAN2,
    status=OK,
)


def messages(stream: FakeStream) -> list[Message]:
    return list(dubbo.dissect(dubbo.DUBBO, [stream])[0])


def is_mine(stream: FakeStream) -> bool:
    return dubbo.probe(dubbo.DUBBO, [stream]) == [Verdict.MINE]


def document(found: Message) -> dict[str, Any]:
    assert found.detail
    return dict(found.detail()[1])


def test_call_and_result() -> None:
    asked, answered = messages(tcp(CALL, RESULT, port=PORT))
    assert asked.fields == {
        "dubbo_request": True,
        "dubbo_request_size": len(CALL),
        "dubbo_serialization": "hessian2",
        "dubbo_version": "2.0.2",
        "dubbo_service": "shop.Stock",
        "dubbo_service_version": "1.1",
        "dubbo_method": "count",
    }
    assert (asked.kind, asked.key, asked.error, asked.one_way) == (MessageKind.REQUEST, "7", "", False)
    assert document(asked) == {
        "requestId": 7,
        "serialization": "hessian2",
        "event": False,
        "twoWay": True,
        "dubboVersion": "2.0.2",
        "service": "shop.Stock",
        "version": "1.1",
        "method": "count",
        "parameterTypes": "Ljava/lang/String;[I",
        "arguments": ["pear", [1, 2]],
        "attachments": {"path": "shop.Stock"},
    }
    assert answered.fields == {
        "dubbo_response": True,
        "dubbo_response_size": len(RESULT),
        "dubbo_serialization": "hessian2",
        "dubbo_status": OK,
    }
    assert (answered.kind, answered.key) == (MessageKind.RESPONSE, "7")
    assert document(answered) == {
        "requestId": 7,
        "serialization": "hessian2",
        "event": False,
        "status": OK,
        "statusName": "OK",
        "type": "value",
        "value": 18,
        "attachments": {"dubbo": "2.0.2"},
    }


def test_exception_of_the_service() -> None:
    _, answered = messages(tcp(CALL, THROWN, port=PORT))
    assert answered.fields["dubbo_error_message"] == "none left"
    shown = document(answered)
    assert (shown["type"], shown["value"]) == ("exception", {"class": "shop.Empty", "detailMessage": "none left"})


def test_error_status() -> None:
    failed = message(string("no such method"), flags=HESSIAN2, status=SERVICE_ERROR)
    _, answered = messages(tcp(CALL, failed, port=PORT))
    assert (answered.fields["dubbo_status"], answered.fields["dubbo_error_message"]) == (70, "no such method")
    assert (document(answered)["statusName"], document(answered)["message"]) == ("SERVICE_ERROR", "no such method")


def test_fastjson() -> None:
    body = b'"2.0.2"\n"shop.Stock"\n"1.1"\n"count"\n"I"\n5\n{"path":"shop.Stock"}\n'
    call = message(body, flags=0xC0 | FASTJSON)
    result = message(b'1\n{"left":3}\n', flags=FASTJSON, status=OK)
    asked, answered = messages(tcp(call, result, port=PORT))
    assert (asked.fields["dubbo_service"], asked.fields["dubbo_method"]) == ("shop.Stock", "count")
    assert document(asked)["arguments"] == [5]
    assert document(answered)["value"] == {"left": 3}


def test_fastjson2() -> None:
    parts = ["4e322e302e32", "5373686f702e53746f636b", "4c312e31", "4e636f756e74", "4a49", "05"]
    parts.append("a64d706174684d73686f70a5")
    body = b"".join(pack(">I", len(part) // 2) + bytes.fromhex(part) for part in parts)
    call = message(body, flags=0xC0 | FASTJSON2)
    result = message(pack(">I2sI1s", 2, b"\xbd\x01", 1, b"\x12"), flags=FASTJSON2, status=OK)
    asked, answered = messages(tcp(call, result, port=PORT))
    assert (asked.fields["dubbo_service"], asked.fields["dubbo_method"]) == ("shop.Stock", "count")
    assert (document(asked)["arguments"], document(asked)["attachments"]) == ([5], {"path": "shop"})
    assert (document(answered)["type"], document(answered)["value"]) == ("value", 18)


def test_heartbeats_of_both_ends() -> None:
    beat, beaten = message(b"N", flags=0xE0 | HESSIAN2), message(b"N", flags=0x20 | HESSIAN2, status=OK)
    found = messages(tcp(beat + beaten, beat + beaten, port=PORT))
    assert [(each.direction, each.kind, each.key) for each in found] == [
        (0, MessageKind.REQUEST, "7"),
        (0, MessageKind.RESPONSE, "7 of the server"),
        (1, MessageKind.REQUEST, "7 of the server"),
        (1, MessageKind.RESPONSE, "7"),
    ]
    assert all(each.fields["dubbo_event"] for each in found)
    assert [document(each)["data"] for each in found] == [None] * 4


def test_one_way_and_other_serializations() -> None:
    (found,) = messages(tcp(message(b"\xac\xed\0\x05", flags=0x80 | JAVA), port=PORT))
    assert (found.one_way, found.fields["dubbo_serialization"], found.error) == (True, "java", "")
    assert document(found) == {"requestId": 7, "serialization": "java", "event": False, "twoWay": False}


def test_null_result() -> None:
    (found,) = messages(tcp(b"", message(b"\x92", flags=HESSIAN2, status=OK), port=PORT))
    assert (document(found)["type"], document(found)["attachments"]) == ("null", {})


def test_body_that_is_no_hessian() -> None:
    call = message(b"\xff" * 9, flags=0xC0 | HESSIAN2)
    found = messages(tcp(call + CALL, message(b"Z", flags=HESSIAN2, status=OK), port=PORT))
    assert document(found[0])["error"].startswith("malformed: ")
    assert document(found[2])["error"].startswith("malformed: ")
    assert found[1].fields["dubbo_method"] == "count"


@pytest.mark.parametrize("cut", range(1, len(CALL)))
def test_every_cut(cut: int) -> None:
    first, last = messages(tcp(CALL + CALL[:cut], port=PORT))
    assert first.error == ""
    assert last.error.startswith("truncated: ")


def test_gaps_and_senseless_bytes_spoil_one_message() -> None:
    size = len(CALL)
    lost = CALL + CALL[: size - 9] + bytes(9) + CALL
    found = messages(tcp(lost, port=PORT, gaps={0: [(2 * size - 9, 2 * size, 9)]}))
    assert [each.error for each in found] == ["", f"gap: 9 bytes missing at {2 * size - 9}", ""]
    lost = CALL + bytes(9) + CALL[9:] + CALL
    found = messages(tcp(lost, port=PORT, gaps={0: [(size, size + 9, 9)]}))
    assert [each.start for each in found] == [0, 2 * size]
    found = messages(tcp(CALL + b"?" * 30 + CALL, port=PORT))
    assert [each.error for each in found] == ["", f"malformed: no message at {size}", ""]


def test_seen_from_the_middle() -> None:
    stream = tcp(b"tail" + CALL, b"tail" + RESULT, port=PORT, midway=True)
    assert is_mine(stream)
    assert [each.start for each in messages(stream)] == [4, 4]


def test_message_behind_more_than_a_server_accepts() -> None:
    lost = 9 << 20
    found = messages(tcp(b"?" * lost + CALL + CALL, RESULT, port=PORT, midway=True))
    assert [each.start for each in found] == [lost, lost + len(CALL), 0]


def test_header_that_nothing_follows_is_none() -> None:
    found = messages(tcp(b"tail" + CALL[:16] + bytes(9) + b"?" * 400 + CALL + CALL, port=PORT, midway=True))
    assert [each.error for each in found] == ["", ""]
    cut = CALL[: len(CALL) - 9] + bytes(3)  # the gap is longer than its zeros
    found = messages(tcp(b"tail" + cut + CALL, port=PORT, midway=True, gaps={0: [(len(cut) + 1, len(cut) + 4, 9)]}))
    assert [each.start for each in found] == [4, 4 + len(cut)]


@pytest.mark.parametrize(
    ("payload", "port", "mine"),
    [
        (CALL, 1234, True),
        (RESULT, 1234, True),
        (b"\xda\xbb" + bytes(14), 1234, False),
        (message(b"", flags=0x9E), 1234, False),
        (message(b"", flags=0x82, status=1), 1234, False),
        (CALL[:15], PORT, False),
        (b"GET / HTTP/1.1\r\n\r\n", PORT, False),
        (b"", PORT, False),
    ],
    ids=str,
)
def test_probe(payload: bytes, port: int, mine: bool) -> None:
    assert is_mine(tcp(payload, port=port)) is mine


def check(stream: FakeStream) -> None:
    dubbo.probe(dubbo.DUBBO, [stream])
    end = 0
    for found in messages(stream):
        assert end <= found.start < found.end <= len(stream.sides[0].data)
        end = found.end
        if found.detail:
            found.detail()


@given(st.binary(max_size=100), st.booleans(), st.integers(0, 300))
def test_any_bytes(junk: bytes, midway: bool, at: int) -> None:
    wire = CALL + RESULT + THROWN
    wire = wire[:at] + junk + wire[at:]
    gap = (at, min(at + 7, len(wire)), 70)
    check(tcp(wire, midway=midway, gaps={0: [gap]} if gap[1] > at else {}))


@given(st.integers(0, 1000), st.integers(0, 255), st.sampled_from([HESSIAN2, FASTJSON, FASTJSON2]))
def test_hostile_byte(at: int, byte: int, serialization: int) -> None:
    wire = bytearray(message(CALL_BODY, flags=0xC0 | serialization) + RESULT + THROWN)
    wire[at % len(wire)] = byte
    check(tcp(bytes(wire)))


@pytest.mark.parametrize(
    ("types", "count"),
    [("", 0), ("I", 1), ("[[I", 1), ("Ljava/lang/String;", 1), ("IJ[Ljava/lang/String;Z", 4), ("Lcut", 0), ("[", 1)],
    ids=str,
)
def test_parameters(types: str, count: int) -> None:
    call = message(
        b"".join(map(string, ("2.0.2", "s", "1", "m", types))) + b"\x90" * count + b"HZ", flags=0xC0 | HESSIAN2
    )
    (found,) = messages(tcp(call, port=PORT))
    shown = document(found)
    assert "error" not in shown
    assert (shown["arguments"], shown["attachments"]) == ([0] * count, {})
