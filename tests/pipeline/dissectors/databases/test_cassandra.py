"""CQL streams in, messages out."""

from __future__ import annotations

import zlib
from struct import pack
from typing import Any

import cramjam
import pytest
from hypothesis import given

from kubeshark.extension_api import Handover, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.databases import cassandra
from kubeshark.pipeline.dissectors.databases._cassandra_frames import _crc24

from .._damage import assert_sound, damaged_streams, document, found_by
from .._streams import FakeStream, tcp

REQUEST, RESPONSE, EVENT = MessageKind.REQUEST, MessageKind.RESPONSE, MessageKind.EVENT


def frame(opcode: int, body: bytes = b"", stream: int = 1, version: int = 4, flags: int = 0) -> bytes:
    return pack(">BBhBI", version, flags, stream, opcode, len(body)) + body


def answer(opcode: int, body: bytes = b"", stream: int = 1, version: int = 4, flags: int = 0) -> bytes:
    return frame(opcode, body, stream, version | 0x80, flags)


def s(text: bytes) -> bytes:
    return pack(">H", len(text)) + text


def long(text: bytes) -> bytes:
    return pack(">I", len(text)) + text


def value(data: bytes | None) -> bytes:
    return pack(">i", -1) if data is None else pack(">i", len(data)) + data


def startup(**options: bytes) -> bytes:
    pairs = {"CQL_VERSION": b"3.4.6", **options}
    return pack(">H", len(pairs)) + b"".join(s(name.encode()) + s(text) for name, text in pairs.items())


def query(text: bytes, tail: bytes = b"\0") -> bytes:
    return long(text) + pack(">H", 6) + tail


def metadata(*columns: tuple[bytes, bytes]) -> bytes:
    return pack(">ii", 1, len(columns)) + s(b"shop") + s(b"items") + b"".join(s(name) + kind for name, kind in columns)


INT, TEXT = pack(">H", 9), pack(">H", 13)
COLUMNS = ((b"id", INT), (b"name", TEXT))
ROWS = (
    pack(">i", 2)
    + metadata(*COLUMNS)
    + pack(">i", 2)
    + value(pack(">i", 7))
    + value(b"x")
    + value(pack(">i", 8))
    + value(None)
)
SELECT = frame(7, query(b"SELECT * FROM items"))
SELECTED = answer(8, ROWS)
PREPARE = frame(9, long(b"SELECT * FROM items WHERE id = ?"), 2)
PREPARED = answer(
    8,
    pack(">i", 4)
    + s(b"\xab\xcd")
    + pack(">iii", 1, 1, 0)
    + s(b"shop")
    + s(b"items")
    + s(b"id")
    + INT
    + metadata(*COLUMNS),
    2,
)
EXECUTE = frame(10, s(b"\xab\xcd") + pack(">HBH", 10, 3, 1) + value(pack(">i", 7)), 3)
WITHOUT_METADATA = answer(8, pack(">iiii", 2, 4, 2, 1) + value(pack(">i", 7)) + value(b"x"), 3)


def messages(client: bytes = b"", server: bytes = b"", **more: Any) -> list[Message]:
    return found_by(cassandra, cassandra.CASSANDRA, tcp(client, server, port=9042, **more))


def is_mine(stream: FakeStream) -> bool:
    return cassandra.probe(cassandra.CASSANDRA, [stream]) == [Verdict.MINE]


def test_query_and_rows() -> None:
    asked, told = messages(SELECT, SELECTED)
    assert (asked.kind, asked.key, asked.error, told.kind, told.key, told.error) == (
        REQUEST,
        "1",
        "",
        RESPONSE,
        "1",
        "",
    )
    assert asked.fields == {
        "cassandra_request": True,
        "cassandra_opcode": "QUERY",
        "cassandra_query": "SELECT * FROM items",
        "cassandra_keyspace": "",
        "cassandra_stream_id": 1,
        "cassandra_request_size": len(SELECT),
    }
    assert told.fields == {
        "cassandra_response": True,
        "cassandra_opcode": "RESULT",
        "cassandra_stream_id": 1,
        "cassandra_success": True,
        "cassandra_error_code": 0,
        "cassandra_error_message": "",
        "cassandra_response_size": len(SELECTED),
    }
    assert document(asked) == {
        "version": 4,
        "opcode": "QUERY",
        "streamId": 1,
        "query": "SELECT * FROM items",
        "keyspace": "",
        "consistency": "LOCAL_QUORUM",
        "parameters": [],
    }
    assert document(told) == {
        "opcode": "RESULT",
        "kind": "Rows",
        "columns": [
            {"name": "id", "type": "int", "table": "shop.items"},
            {"name": "name", "type": "varchar", "table": "shop.items"},
        ],
        "rows": [[7, "x"], [8, None]],
        "errorCode": 0,
        "errorMessage": "",
        "version": 4,
        "streamId": 1,
        "rowCount": 2,
    }


def test_prepared_statement() -> None:
    stream = tcp(PREPARE + EXECUTE, PREPARED + WITHOUT_METADATA, port=9042)
    stream.runs = [(0, 0, len(PREPARE)), (1, 0, len(PREPARED)), (0, len(PREPARE), 999), (1, len(PREPARED), 999)]
    _, executed, made, rows = found_by(cassandra, cassandra.CASSANDRA, stream)
    assert executed.fields["cassandra_query"] == "SELECT * FROM items WHERE id = ?"
    assert (document(executed)["parameters"], document(executed)["consistency"]) == ([7], "LOCAL_ONE")
    assert (document(made)["kind"], document(made)["parameters"][0]["name"]) == ("Prepared", "id")
    assert (document(rows)["rows"], document(rows)["columns"][1]["name"]) == ([[7, "x"]], "name")


def test_error() -> None:
    (told,) = messages(server=answer(0, pack(">i", 0x2200) + s(b"no such table")))
    assert told.fields["cassandra_success"] is False
    assert (told.fields["cassandra_error_code"], told.fields["cassandra_error_message"]) == (0x2200, "no such table")


def test_events_are_events() -> None:
    topology = s(b"STATUS_CHANGE") + s(b"UP") + b"\x04\x7f\0\0\1" + pack(">i", 9042)
    schema = s(b"SCHEMA_CHANGE") + s(b"CREATED") + s(b"TABLE") + s(b"shop") + s(b"items")
    found = messages(server=answer(12, topology, -1) + answer(12, schema, -1))
    assert [item.kind for item in found] == [EVENT, EVENT]
    assert document(found[0])["address"] == "127.0.0.1:9042"
    assert (document(found[1])["target"], document(found[1])["name"]) == ("TABLE", "items")


OTHERS = [
    ("startup", 1, startup(), "options", {"CQL_VERSION": "3.4.6"}),
    ("options", 5, b"", "opcode", "OPTIONS"),
    ("auth", 15, long(b"\0ann\0secret"), "token", "[redacted]"),
    ("credentials", 4, s(b"") + s(b"secret"), "token", "[redacted]"),
    ("register", 11, pack(">H", 1) + s(b"STATUS_CHANGE"), "events", ["STATUS_CHANGE"]),
    (
        "named",
        7,
        query(b"SELECT 1", b"\x41" + pack(">H", 1) + s(b"id") + value(b"x")),
        "parameters",
        [{"name": "id", "value": "x"}],
    ),
    ("paged", 7, query(b"SELECT 1", b"\x3c" + pack(">i", 99) + value(b"\1") + pack(">Hq", 8, 5)), "pageSize", 99),
    (
        "batch",
        13,
        b"\1"
        + pack(">H", 2)
        + b"\0"
        + long(b"INSERT")
        + pack(">H", 0)
        + b"\1"
        + s(b"\xab")
        + pack(">H", 1)
        + value(b"x")
        + pack(">HB", 1, 0),
        "statements",
        [
            {"query": "INSERT", "preparedId": "", "parameters": []},
            {"query": "", "preparedId": "ab", "parameters": ["x"]},
        ],
    ),
]


@pytest.mark.parametrize(
    ("opcode", "body", "key", "shown"), [row[1:] for row in OTHERS], ids=[row[0] for row in OTHERS]
)
def test_requests(opcode: int, body: bytes, key: str, shown: Any) -> None:
    (asked,) = messages(frame(opcode, body))
    assert document(asked)[key] == shown
    assert "secret" not in str(document(asked)) and "comment" not in document(asked)


RESULTS = [
    ("void", 8, pack(">i", 1), "kind", "Void"),
    ("keyspace", 8, pack(">i", 3) + s(b"shop"), "keyspace", "shop"),
    ("schema", 8, pack(">i", 5) + s(b"CREATED") + s(b"KEYSPACE") + s(b"shop"), "change", "CREATED"),
    ("authenticate", 3, s(b"org.apache.PasswordAuthenticator"), "authenticator", "org.apache.PasswordAuthenticator"),
    ("success", 16, value(b"secret"), "token", "[redacted]"),
    (
        "supported",
        6,
        pack(">H", 1) + s(b"CQL_VERSION") + pack(">H", 1) + s(b"3.4.6"),
        "options",
        {"CQL_VERSION": ["3.4.6"]},
    ),
]


@pytest.mark.parametrize(
    ("opcode", "body", "key", "shown"), [row[1:] for row in RESULTS], ids=[row[0] for row in RESULTS]
)
def test_responses(opcode: int, body: bytes, key: str, shown: Any) -> None:
    (told,) = messages(server=answer(opcode, body))
    assert document(told)[key] == shown
    assert "secret" not in str(document(told))


def test_what_flags_put_before_a_body() -> None:
    body = bytes(range(16)) + pack(">H", 1) + s(b"slow") + pack(">H", 1) + s(b"k") + value(b"\1") + pack(">i", 1)
    (told,) = messages(server=answer(8, body, flags=2 | 4 | 8))
    shown = document(told)
    assert (shown["kind"], shown["warnings"], shown["customPayload"]) == ("Void", ["slow"], {"k": "01"})
    assert shown["tracingId"].startswith("00010203")


def column(kind: bytes, data: bytes) -> Any:
    body = pack(">i", 2) + metadata((b"c", kind)) + pack(">i", 1) + value(data)
    (told,) = messages(server=answer(8, body))
    return document(told)["rows"][0][0]


TYPES = [
    (2, pack(">q", -5), -5),
    (4, b"\1", True),
    (6, pack(">i", 2) + b"\x30\x39", "123.45"),
    (6, pack(">i", 3) + b"\xff", "-0.001"),
    (7, pack(">d", 1.5), 1.5),
    (8, pack(">f", float("inf")), "inf"),
    (0x0B, pack(">q", 1000), "1970-01-01T00:00:01.000Z"),
    (0x0C, bytes(range(16)), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
    (0x0E, b"\xff\x7f", "-129"),
    (0x10, b"\x7f\0\0\1", "127.0.0.1"),
    (0x11, pack(">I", 1 << 31), "1970-01-01"),
    (0x12, pack(">q", 3_600_000_000_001), "01:00:00.000000001"),
    (3, b"\1\2", "0x0102"),
    (9, b"\1", "0x01"),
    (0x10, b"\1", "0x01"),
]


@pytest.mark.parametrize(("kind", "data", "shown"), TYPES, ids=[f"{kind}-{shown}" for kind, _, shown in TYPES])
def test_values(kind: int, data: bytes, shown: Any) -> None:
    assert column(pack(">H", kind), data) == shown


def test_collections() -> None:
    assert column(pack(">HH", 0x20, 9), pack(">i", 2) + value(pack(">i", 1)) + value(pack(">i", 2))) == [1, 2]
    assert column(pack(">HHH", 0x21, 13, 9), pack(">i", 1) + value(b"a") + value(pack(">i", 1))) == {"a": 1}
    assert column(pack(">HHHH", 0x31, 2, 9, 13), value(pack(">i", 1)) + value(b"b")) == [1, "b"]
    udt = pack(">H", 0x30) + s(b"shop") + s(b"address") + pack(">H", 1) + s(b"zip") + INT
    assert column(udt, value(pack(">i", 5))) == {"zip": 5}
    assert column(pack(">HH", 0x20, 9), pack(">i", 5)) == "0x00000005"


def lz4(data: bytes) -> bytes:
    return pack(">I", len(data)) + bytes(cramjam.lz4.compress_block(data, store_size=False))


@pytest.mark.parametrize(
    ("algorithm", "squeeze"), [(b"lz4", "lz4"), (b"snappy", "snappy"), (b"", "lz4"), (b"", "snappy")]
)
def test_compressed_bodies(algorithm: bytes, squeeze: str) -> None:
    packed = lz4(SELECT[9:]) if squeeze == "lz4" else bytes(cramjam.snappy.compress_raw(SELECT[9:]))
    hello = frame(1, startup(COMPRESSION=algorithm), 9) if algorithm else b""
    *_, asked = messages(hello + frame(7, packed, flags=1))
    assert (asked.error, asked.fields["cassandra_query"]) == ("", "SELECT * FROM items")


@pytest.mark.parametrize(
    ("algorithm", "nothing"),
    [(b"snappy", bytes(cramjam.snappy.compress_raw(b""))), (b"lz4", pack(">I", 0) + b"\0"), (b"", bytes(4))],
)
def test_nothing_compressed(algorithm: bytes, nothing: bytes) -> None:
    asked = frame(1, startup(COMPRESSION=algorithm)) + SELECT
    found = messages(asked, answer(2, nothing, flags=1) + SELECTED)
    assert [(part.kind, part.error) for part in found] == [(REQUEST, "")] * 2 + [(RESPONSE, "")] * 2


def test_compression_that_is_none() -> None:
    (asked,) = messages(frame(7, b"\xff" * 20, flags=1))
    assert asked.error == "malformed: the body cannot be decompressed"


def segment(payload: bytes, *, squeeze: bool = False) -> bytes:
    if squeeze:
        packed = bytes(cramjam.lz4.compress_block(payload, store_size=False))
        header = (len(packed) | len(payload) << 17 | 1 << 34).to_bytes(5, "little")
    else:
        packed, header = payload, (len(payload) | 1 << 17).to_bytes(3, "little")
    crc = zlib.crc32(packed, zlib.crc32(b"\xfa\x2d\x55\xca"))
    return header + _crc24(header).to_bytes(3, "little") + packed + pack("<I", crc)


@pytest.mark.parametrize("squeeze", [False, True], ids=["plain", "lz4"])
@pytest.mark.parametrize("midway", [False, True], ids=["startup", "midway"])
def test_segments_of_version_5(squeeze: bool, midway: bool) -> None:
    inner = frame(7, long(b"SELECT 1") + pack(">HI", 6, 0), version=5), answer(8, pack(">i", 1), version=5)
    client, server = (segment(data[:12], squeeze=squeeze) + segment(data[12:], squeeze=squeeze) for data in inner)
    if not midway:
        client, server = frame(1, startup(), version=5) + client, answer(2, version=5) + server
    stream = tcp(client, server, port=9999, midway=midway)
    *outer, handover = cassandra.dissect(cassandra.CASSANDRA, [stream])[0]
    assert isinstance(handover, Handover)
    assert (handover.protocol, len(outer)) == ("cassandra", 0 if midway else 2)
    assert tuple(bytes(side.data) for side in handover.sides) == inner
    if not squeeze and not midway:
        assert is_mine(stream)


def test_damaged_segment_is_a_gap() -> None:
    pieces = [segment(frame(7, long(b"SELECT %d" % at) + pack(">HI", 6, 0), version=5)) for at in range(3)]
    client = pieces[0] + b"\xff" * len(pieces[1]) + pieces[2]
    *_, handover = cassandra.dissect(cassandra.CASSANDRA, [tcp(client, b"", port=9042, midway=True)])[0]
    assert isinstance(handover, Handover)
    assert handover.sides[0].gaps
    assert b"SELECT 2" in bytes(handover.sides[0].data)


def test_versions_with_short_stream_ids() -> None:
    (asked,) = messages(pack(">BBbBI", 2, 0, 5, 7, len(SELECT) - 9) + SELECT[9:])
    assert (asked.key, asked.fields["cassandra_query"]) == ("5", "SELECT * FROM items")


def test_gap_midway_malformed_and_truncated() -> None:
    size = len(SELECT)
    lost = SELECT + SELECT[:12] + bytes(10) + SELECT[22:] + SELECT
    found = messages(lost, gaps={0: [(size + 12, size + 22, 10)]})
    assert [item.error for item in found] == ["", f"gap: 10 bytes missing at {size + 12}", ""]
    assert [item.start for item in messages(b"\x99tail of a frame" + SELECT, midway=True)] == [16]
    assert [bool(item.error) for item in messages(SELECT + b"no frame at all!" + SELECT)] == [False, True, False]
    (cut,) = messages(SELECT[:-3])
    assert cut.error == "truncated: 3 bytes of the frame were not captured"


@pytest.mark.parametrize(
    "data",
    [frame(1, startup()), SELECT, SELECTED, frame(5) + frame(1, startup())],
    ids=["startup", "query", "rows", "options"],
)
def test_probe_takes_it_on_any_port(data: bytes) -> None:
    assert is_mine(tcp(data, b"", port=30000))


@pytest.mark.parametrize(
    "data",
    [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + bytes(40), bytes(64), frame(7, b"\xff" * 9)],
    ids=["empty", "http", "tls", "zeros", "text"],
)
def test_probe_leaves_others(data: bytes) -> None:
    assert not is_mine(tcp(data, b"", port=30000))


@given(
    damaged_streams(
        frame(1, startup()) + PREPARE + EXECUTE + SELECT, answer(2) + PREPARED + WITHOUT_METADATA + SELECTED, 9042
    )
)
def test_any_bytes(stream: FakeStream) -> None:
    cassandra.probe(cassandra.CASSANDRA, [stream])
    assert_sound(cassandra.dissect(cassandra.CASSANDRA, [stream])[0], stream)


@given(
    damaged_streams(
        segment(frame(7, long(b"SELECT 1") + pack(">HI", 6, 0), version=5)) * 2,
        segment(answer(8, ROWS, version=5), squeeze=True),
        9042,
    )
)
def test_any_segments(stream: FakeStream) -> None:
    assert_sound(cassandra.dissect(cassandra.CASSANDRA, [stream])[0], stream)
