"""MongoDB streams in, messages out."""

from __future__ import annotations

import zlib
from struct import pack
from typing import Any

import cramjam
import pytest
import zstandard
from hypothesis import given

from kubeshark.extension_api import Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.databases import mongodb
from kubeshark.pipeline.dissectors.databases._mongodb_message import COMPRESSORS

from .._damage import assert_sound, damaged_streams, document, found_by
from .._streams import FakeStream, tcp

REQUEST, RESPONSE, EVENT = MessageKind.REQUEST, MessageKind.RESPONSE, MessageKind.EVENT


def bson(**fields: Any) -> bytes:
    """The few types the tests need: str, bool, int, float, bytes (binary), dict, list; tuples are (type, raw value)."""
    out = b"".join(_element(name.replace("_dollar_", "$").encode(), value) for name, value in fields.items())
    return pack("<i", len(out) + 5) + out + b"\0"


def _element(name: bytes, value: Any) -> bytes:
    match value:
        case bool():
            kind, raw = 8, bytes([value])
        case int():
            kind, raw = 0x10, pack("<i", value)
        case float():
            kind, raw = 1, pack("<d", value)
        case str():
            kind, raw = 2, pack("<i", len(value) + 1) + value.encode() + b"\0"
        case bytes():
            kind, raw = 5, pack("<iB", len(value), 0) + value
        case dict():
            kind, raw = 3, bson(**value)
        case list():
            kind, raw = 4, bson(**{str(at): item for at, item in enumerate(value)})
        case (int() as kind, bytes() as raw):
            pass
    return bytes([kind]) + name + b"\0" + raw


def message(opcode: int, body: bytes, request: int = 7, response: int = 0) -> bytes:
    return pack("<4i", 16 + len(body), request, response, opcode) + body


def msg(document: bytes, request: int = 7, response: int = 0, flags: int = 0, sequences: bytes = b"") -> bytes:
    return message(
        2013, pack("<I", flags) + b"\0" + document + sequences + (b"sum!" if flags & 1 else b""), request, response
    )


def sequence(name: bytes, *documents: bytes) -> bytes:
    body = name + b"\0" + b"".join(documents)
    return b"\1" + pack("<i", 4 + len(body)) + body


FIND = msg(bson(find="items", filter={"n": 1}, _dollar_db="shop"))
FOUND = msg(bson(cursor={"firstBatch": [{"n": 1}], "id": 0, "ns": "shop.items"}, ok=1.0), 90, 7)
OK = bson(ok=1.0)


def messages(client: bytes = b"", server: bytes = b"", **more: Any) -> list[Message]:
    return found_by(mongodb, mongodb.MONGODB, tcp(client, server, port=27017, **more))


def is_mine(stream: FakeStream) -> bool:
    return mongodb.probe(mongodb.MONGODB, [stream]) == [Verdict.MINE]


def test_command_and_reply() -> None:
    asked, answer = messages(FIND, FOUND)
    assert (asked.kind, asked.key, asked.error, asked.one_way) == (REQUEST, "7", "", False)
    assert (answer.kind, answer.key, answer.error) == (RESPONSE, "7", "")
    assert asked.fields == {
        "mongodb_opcode": "OP_MSG",
        "mongodb_command": "find",
        "mongodb_database": "shop",
        "mongodb_collection": "items",
        "mongodb_request_size": len(FIND),
    }
    assert answer.fields == {
        "mongodb_opcode": "OP_MSG",
        "mongodb_success": True,
        "mongodb_error_code": 0,
        "mongodb_error_message": "",
        "mongodb_error_code_name": "",
        "mongodb_response_size": len(FOUND),
    }
    assert document(asked) == {
        "opcode": "OP_MSG",
        "requestId": 7,
        "command": "find",
        "database": "shop",
        "collection": "items",
        "flags": 0,
        "document": {"find": "items", "filter": {"n": 1}, "$db": "shop"},
    }
    assert document(answer)["document"]["cursor"]["firstBatch"] == [{"n": 1}]


def test_document_sequence_is_an_array_of_the_body() -> None:
    rows = sequence(b"documents", bson(n=1), bson(n=2))
    (asked,) = messages(msg(bson(insert="items", _dollar_db="shop"), flags=1, sequences=rows))
    assert document(asked)["document"] == {"insert": "items", "$db": "shop", "documents": [{"n": 1}, {"n": 2}]}
    assert (asked.fields["mongodb_command"], document(asked)["flags"]) == ("insert", 1)


def test_sequence_before_the_body() -> None:
    body = pack("<I", 0) + sequence(b"documents", bson(n=1)) + b"\0" + bson(insert="items", _dollar_db="shop")
    (asked,) = messages(message(2013, body))
    assert asked.fields["mongodb_collection"] == "items"


def test_unacknowledged_write_has_no_answer() -> None:
    (asked,) = messages(msg(bson(insert="items"), flags=2))
    assert asked.one_way
    assert asked.fields["mongodb_success"] is True


def test_error() -> None:
    (answer,) = messages(server=msg(bson(ok=0.0, errmsg="no", code=13, codeName="Unauthorized"), 90, 7))
    assert answer.fields["mongodb_success"] is False
    assert answer.fields["mongodb_error_code"] == 13
    assert answer.fields["mongodb_error_message"] == "no"
    assert answer.fields["mongodb_error_code_name"] == "Unauthorized"


@pytest.mark.parametrize(
    "errors",
    [
        {"writeErrors": [{"index": 0, "code": 11000, "errmsg": "dup"}]},
        {"writeConcernError": {"code": 11000, "errmsg": "dup"}},
    ],
    ids=["write", "concern"],
)
def test_write_error_is_a_failure(errors: dict[str, Any]) -> None:
    (answer,) = messages(server=msg(bson(n=0, **errors, ok=1.0), 90, 7))
    assert (answer.fields["mongodb_success"], answer.fields["mongodb_error_code"]) == (False, 11000)
    assert answer.fields["mongodb_error_message"] == "dup"


def test_exhaust_pushes_are_events() -> None:
    server = msg(OK, 90, 7, flags=2) + msg(OK, 91, 90, flags=2) + msg(OK, 92, 91)
    _, *answers = messages(msg(bson(hello=1), 7, flags=1 << 16), server)
    assert [answer.kind for answer in answers] == [RESPONSE, EVENT, EVENT]


def test_equal_ids_of_both_sides_are_no_exhaust() -> None:
    client = msg(bson(ping=1), 7) + msg(bson(ping=1), 8)
    *_, last = messages(client, msg(OK, 8, 7) + msg(OK, 9, 8))
    assert (last.kind, last.key) == (RESPONSE, "8")


COMPRESSIONS = {
    0: lambda data: data,
    1: lambda data: bytes(cramjam.snappy.compress_raw(data)),
    2: zlib.compress,
    3: zstandard.compress,
}


@pytest.mark.parametrize("compressor", COMPRESSIONS)
def test_compressed(compressor: int) -> None:
    packed = pack("<iiB", 2013, len(FIND) - 16, compressor) + COMPRESSIONS[compressor](FIND[16:])
    (asked,) = messages(message(2012, packed))
    assert (asked.error, asked.fields["mongodb_command"], asked.fields["mongodb_opcode"]) == ("", "find", "OP_MSG")
    assert document(asked)["document"]["filter"] == {"n": 1}
    assert document(asked)["compressor"] == COMPRESSORS[compressor]


@pytest.mark.parametrize("compressor", [1, 2, 3, 9])
def test_compression_that_is_none(compressor: int) -> None:
    (asked,) = messages(message(2012, pack("<iiB", 2013, 100, compressor) + b"nothing that was ever compressed"))
    assert asked.error.startswith("malformed: ")
    assert document(asked)["comment"]


def test_compressed_opcode_that_cannot_be() -> None:
    (asked,) = messages(message(2012, pack("<iiB", 2012, 100, 0) + bytes(20)))
    assert "cannot be compressed" in asked.error


NAMESPACE = b"shop.items\0"
LEGACY = [
    ("find", 2004, pack("<i", 0) + NAMESPACE + pack("<ii", 0, 10) + bson(n=1), {"n": 1}, False),
    ("isMaster", 2004, pack("<i", 4) + b"admin.$cmd\0" + pack("<ii", 0, -1) + bson(isMaster=1), {"isMaster": 1}, False),
    ("insert", 2002, pack("<i", 0) + NAMESPACE + bson(n=1) + bson(n=2), {"documents": [{"n": 1}, {"n": 2}]}, True),
    (
        "update",
        2001,
        pack("<i", 0) + NAMESPACE + pack("<i", 1) + bson(n=1) + bson(n=2),
        {"q": {"n": 1}, "u": {"n": 2}},
        True,
    ),
    ("delete", 2006, pack("<i", 0) + NAMESPACE + pack("<i", 0) + bson(n=1), {"q": {"n": 1}}, True),
    ("getMore", 2005, pack("<i", 0) + NAMESPACE + pack("<iq", 5, 77), {"numberToReturn": 5, "cursorId": 77}, False),
    ("killCursors", 2007, pack("<iiq", 0, 1, 77), {"cursors": [77]}, True),
    ("count", 2010, b"shop\0count\0" + bson(count="items") + bson(), {"count": "items"}, False),
]


@pytest.mark.parametrize(("command", "opcode", "body", "shown", "one_way"), LEGACY, ids=[row[0] for row in LEGACY])
def test_older_opcodes(command: str, opcode: int, body: bytes, shown: dict[str, Any], one_way: bool) -> None:
    wire = message(opcode, body)
    (asked,) = messages(wire)
    assert (asked.error, asked.one_way, asked.fields["mongodb_command"]) == ("", one_way, command)
    assert document(asked)["document"] == shown
    assert is_mine(tcp(wire + wire, port=30000))


def test_wrapped_command() -> None:
    body = (
        pack("<i", 0)
        + b"shop.$cmd\0"
        + pack("<ii", 0, -1)
        + bson(_dollar_query={"count": "items"}, _dollar_readPreference={})
    )
    (asked,) = messages(message(2004, body))
    assert (asked.fields["mongodb_command"], asked.fields["mongodb_collection"]) == ("count", "items")


def test_reply_of_older_servers() -> None:
    body = pack("<iqii", 8, 55, 0, 2) + bson(n=1) + bson(n=2)
    (answer,) = messages(server=message(1, body, 90, 7))
    assert answer.fields["mongodb_success"] is True
    assert document(answer)["document"] == {
        "cursorId": 55,
        "startingFrom": 0,
        "numberReturned": 2,
        "documents": [{"n": 1}, {"n": 2}],
    }


def test_sasl_payloads_and_passwords_are_not_shown() -> None:
    client = (
        msg(bson(saslStart=1, mechanism="PLAIN", payload=b"secret"))
        + msg(bson(hello=1, speculativeAuthenticate={"saslStart": 1, "payload": b"secret"}))
        + msg(bson(createUser="ann", pwd="secret"))
        + msg(bson(copydb=1, fromdb="a", username="ann", nonce="n", key="secret"))
    )
    server = msg(bson(conversationId=1, done=False, payload=b"secret", ok=1.0), 90, 7)
    found = [document(message) for message in messages(client, server)]
    assert "secret" not in str(found) and "c2VjcmV0" not in str(found)
    secrets = [
        next((shown["document"][name] for name in ("payload", "pwd", "key") if name in shown["document"]), None)
        for shown in found
    ]
    assert secrets == [
        "[redacted]",
        None,
        "[redacted]",
        "[redacted]",
        "[redacted]",
    ]


def test_gap_spoils_one_message() -> None:
    wire = FIND * 3
    size = len(FIND)
    lost = wire[: size + 20] + bytes(10) + wire[size + 30 :]
    found = messages(lost, gaps={0: [(size + 20, size + 30, 10)]})
    assert [item.error for item in found] == ["", f"gap: 10 bytes missing at {size + 20}", ""]


def test_gap_over_a_header() -> None:
    size = len(FIND)
    lost = FIND + bytes(20) + (FIND * 2)[20:]
    assert [item.start for item in messages(lost, gaps={0: [(size, size + 20, 20)]})] == [0, 2 * size]


def test_midway_and_malformed() -> None:
    assert [item.start for item in messages(b"tail of a message" + FIND, midway=True)] == [17]
    found = messages(FIND + b"no message at all" + FIND)
    assert [bool(item.error) for item in found] == [False, True, False]


def test_truncated() -> None:
    (asked,) = messages(FIND[:-3])
    assert asked.error == "truncated: 3 bytes of the message were not captured"
    assert document(asked)["document"]["find"] == "items"
    assert "comment" in document(asked)


def test_sides_that_were_guessed_wrongly() -> None:
    stream = tcp(FOUND, FIND, port=27017, midway=True)
    assert sorted((item.direction, item.kind) for item in found_by(mongodb, mongodb.MONGODB, stream)) == [
        (0, RESPONSE),
        (1, REQUEST),
    ]


@pytest.mark.parametrize("data", [FIND, FOUND, FIND[:40]], ids=["request", "reply", "cut"])
def test_probe_takes_it_on_any_port(data: bytes) -> None:
    assert is_mine(tcp(data, b"", port=30000))
    assert is_mine(tcp(b"", data, port=30000))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01" + bytes(40),
        bytes(64),
        message(2013, b"\xff" * 40),
        message(2004, bytes(40)),
        message(1, bytes(40)),
    ],
    ids=["empty", "http", "tls", "zeros", "flags", "namespace", "reply"],
)
def test_probe_leaves_others(data: bytes) -> None:
    assert not is_mine(tcp(data, b"", port=30000))
    assert not is_mine(tcp(data, b"", port=27017))


@pytest.mark.parametrize("cut", range(0, len(FIND), 5))
def test_cut_anywhere(cut: int) -> None:
    stream = tcp((FIND + FIND)[: len(FIND) + cut], FOUND[:cut], port=27017)
    assert_sound(found_by(mongodb, mongodb.MONGODB, stream), stream)


@given(
    damaged_streams(
        FIND
        + message(2004, LEGACY[0][2])
        + message(2012, pack("<iiB", 2013, len(FIND) - 16, 2) + zlib.compress(FIND[16:])),
        FOUND * 2,
        27017,
    )
)
def test_any_bytes(stream: FakeStream) -> None:
    mongodb.probe(mongodb.MONGODB, [stream])
    assert_sound(mongodb.dissect(mongodb.MONGODB, [stream])[0], stream)
