"""Record sets of every format and compression, whole, cut and damaged."""

from __future__ import annotations

import gzip
from struct import pack
from typing import Any

import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.messaging import _kafka_records as records
from kubeshark.pipeline.dissectors.messaging._kafka_records import body_of, read_records

NOW = 1_700_000_000_000


def zigzag(value: int) -> bytes:
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def sized(data: bytes | None) -> bytes:
    return zigzag(-1) if data is None else zigzag(len(data)) + data


def row(at: int, key: bytes | None, value: bytes | None, *headers: tuple[bytes, bytes | None]) -> bytes:
    body = b"\0" + zigzag(at) + zigzag(at) + sized(key) + sized(value) + zigzag(len(headers))
    body += b"".join(sized(name) + sized(data) for name, data in headers)
    return zigzag(len(body)) + body


def batch(rows: bytes, count: int, attributes: int = 0, offset: int = 100) -> bytes:
    head = pack(">ibIhiqqqhii", 0, 2, 0, attributes, count - 1, NOW, NOW, 5, 1, 0, count)
    return pack(">qi", offset, len(head) + len(rows)) + head + rows


def message(
    value: bytes | None, key: bytes | None = None, *, magic: int = 1, attributes: int = 0, offset: int = 0
) -> bytes:
    body = pack(">Ibb", 0, magic, attributes) + (pack(">q", NOW) if magic else b"")
    for data in (key, value):
        body += pack(">i", -1) if data is None else pack(">i", len(data)) + data
    return pack(">qi", offset, len(body)) + body


def xerial(data: bytes) -> bytes:
    blocks = [bytes(cramjam.snappy.compress_raw(data[at : at + 40])) for at in range(0, len(data), 40)]
    return b"\x82SNAPPY\0" + pack(">ii", 1, 1) + b"".join(pack(">i", len(block)) + block for block in blocks)


def old_lz4(data: bytes) -> bytes:
    """A frame as clients before 0.10 wrote it: with another byte as the header's checksum."""
    frame = bytearray(bytes(cramjam.lz4.compress(data)))
    frame[14 if frame[4] & 8 else 6] ^= 0x55
    return bytes(frame)


COMPRESS = {
    "none": (0, bytes),
    "gzip": (1, gzip.compress),
    "snappy": (2, lambda data: bytes(cramjam.snappy.compress_raw(data))),
    "snappy in blocks": (2, xerial),
    "lz4": (3, lambda data: bytes(cramjam.lz4.compress(data))),
    "old lz4": (3, old_lz4),
    "zstd": (4, zstandard.compress),
}
ROWS = row(0, b"k", b"v" * 50, (b"trace", b"7"), (b"none", None)) + row(1, None, b"\xff\0") + row(2, b"k", None)


def only(data: bytes) -> dict[str, Any]:
    (found,) = read_records(data).document["recordBatch"]
    return dict(found)


@pytest.mark.parametrize("compression", COMPRESS)
def test_batch(compression: str) -> None:
    codec, compress = COMPRESS[compression]
    found = only(batch(compress(ROWS), 3, codec))
    assert "error" not in found
    assert (found["compression"], found["magic"], found["producerId"], found["baseOffset"]) == (
        records.CODECS[codec],
        2,
        5,
        100,
    )
    assert found["record"] == [
        {
            "offset": 100,
            "timestamp": NOW,
            "key": "k",
            "value": "v" * 50,
            "headers": [{"key": "trace", "value": "7"}, {"key": "none", "value": None}],
        },
        {"offset": 101, "timestamp": NOW + 1, "key": None, "value": "/wA=", "valueEncoding": "base64", "headers": []},
        {"offset": 102, "timestamp": NOW + 2, "key": "k", "value": None, "headers": []},
    ]


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("compression", [name for name in COMPRESS if name != "zstd"])
def test_message_set(compression: str, magic: int) -> None:
    codec, compress = COMPRESS[compression]
    inner = message(b"a", b"k", magic=magic) + message(b"b", magic=magic, offset=1)
    wire = message(compress(inner), magic=magic, attributes=codec, offset=9) if codec else inner
    found = read_records(wire)
    rows = [record for each in found.document["recordBatch"] for record in each["record"]]
    base = 8 if codec and magic else 0
    assert [(record["offset"] - base, record["key"], record["value"]) for record in rows] == [
        (0, "k", "a"),
        (1, None, "b"),
    ]
    assert {record["timestamp"] for record in rows} == {NOW if magic else -1}
    assert found.lines == ["k\ta", "b"]


def test_control_batch_has_no_body() -> None:
    found = read_records(batch(row(0, pack(">hh", 0, 1), pack(">hi", 0, 3)), 1, 0x30))
    (shown,) = found.document["recordBatch"]
    assert (shown["isControlBatch"], shown["isTransactional"], found.lines) == (True, True, [])
    assert shown["record"][0]["controlType"] == "COMMIT"


def test_several_batches_and_a_cut_one() -> None:
    found = read_records(batch(ROWS, 3) + batch(ROWS, 3, offset=103) + batch(ROWS, 3)[:80])
    assert [each["baseOffset"] for each in found.document["recordBatch"]] == [100, 103]
    assert found.document["partial"] == 80


def test_text_of_several_sets() -> None:
    first, second = read_records(batch(row(0, b"k", b"1"), 1)), read_records(batch(row(0, None, b"2"), 1))
    assert body_of([first, second]) == ("k\t1\n2", False)


def test_long_text_is_cut() -> None:
    body, is_cut = body_of([read_records(batch(row(0, None, b"x" * (2 << 20)), 1))])
    assert (len(body), is_cut) == (1 << 20, True)


def test_many_records_are_cut() -> None:
    found = read_records(batch(b"".join(row(at, None, b"x") for at in range(1_200)), 1_200))
    (shown,) = found.document["recordBatch"]
    assert (len(shown["record"]), found.is_cut, shown["recordsTruncated"]) == (records.MAX_RECORDS, True, True)


@pytest.mark.parametrize("compression", ["gzip", "lz4", "zstd"])
def test_bomb(compression: str) -> None:
    codec, compress = COMPRESS[compression]
    found = read_records(batch(compress(row(0, None, b"a") + row(1, None, bytes(64 << 20))), 2, codec))
    assert found.is_cut
    assert found.lines == ["a"]


def test_snappy_that_promises_too_much() -> None:
    assert "snappy" in only(batch(b"\xff\xff\xff\xff\x0f" + b"x" * 20, 1, 2))["error"]


def test_unknown_compression_and_format() -> None:
    assert only(batch(ROWS, 3, 7))["error"] == "malformed: compression 7 is unknown"
    wire = bytearray(batch(ROWS, 3))
    wire[16] = 9
    assert read_records(bytes(wire)).document["error"] == "record format 9 is unknown"


def test_compressed_twice_is_refused() -> None:
    inner = message(gzip.compress(message(b"a")), attributes=1)
    assert only(message(gzip.compress(inner), attributes=1))["error"] == "malformed: compressed twice"


@pytest.mark.parametrize("compression", COMPRESS)
def test_damage_stays_in_its_batch(compression: str) -> None:
    codec, compress = COMPRESS[compression]
    data = compress(ROWS)
    found = read_records(batch(data[: len(data) // 2], 3, codec) + batch(ROWS, 3))
    first, second = found.document["recordBatch"]
    assert (first["error"][:10], len(second["record"])) == ("malformed:", 3)


@given(st.binary(max_size=200), st.integers(0, 4), st.integers(-1, 1 << 31))
def test_any_bytes(data: bytes, codec: int, count: int) -> None:
    read_records(data)
    read_records(batch(data, max(count, 0) % (1 << 31), codec))
    read_records(message(data, attributes=codec))


@given(st.sampled_from(sorted(COMPRESS)), st.integers(0, 400), st.integers(0, 255))
def test_hostile_byte(compression: str, at: int, byte: int) -> None:
    codec, compress = COMPRESS[compression]
    for wire in (batch(compress(ROWS), 3, codec), message(compress(message(b"a")), attributes=codec)):
        hit = bytearray(wire)
        hit[at % len(hit)] = byte
        body_of([read_records(bytes(hit))])
