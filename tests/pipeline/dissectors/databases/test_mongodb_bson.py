"""BSON as JSON values: every type, damage, and bounds."""

from __future__ import annotations

import json
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.databases._mongodb_bson import Damaged, document_at, elements, scalar


def bson(*parts: bytes) -> bytes:
    body = b"".join(parts)
    return pack("<i", len(body) + 5) + body + b"\0"


def element(kind: int, value: bytes, name: bytes = b"a") -> bytes:
    return bytes([kind]) + name + b"\0" + value


def string(value: bytes) -> bytes:
    return pack("<i", len(value) + 1) + value + b"\0"


def decimal(significand: int, exponent: int = 0, sign: int = 0) -> bytes:
    return (sign << 127 | (exponent + 6176) << 113 | significand).to_bytes(16, "little")


OID = bytes(range(12))
INNER = bson(element(0x10, pack("<i", 1), b"b"))
CASES: list[tuple[str, int, bytes, Any]] = [
    ("double", 0x01, pack("<d", 1.5), 1.5),
    ("nan", 0x01, pack("<d", float("nan")), {"$numberDouble": "NaN"}),
    ("infinity", 0x01, pack("<d", float("-inf")), {"$numberDouble": "-Infinity"}),
    ("string", 0x02, string("é".encode()), "é"),
    ("document", 0x03, INNER, {"b": 1}),
    ("array", 0x04, INNER, [1]),
    ("binary", 0x05, pack("<iB", 2, 0) + b"\x01\x02", {"$binary": {"base64": "AQI=", "subType": "00"}}),
    ("uuid", 0x05, pack("<iB", 16, 4) + bytes(range(16)), {"$uuid": "00010203-0405-0607-0809-0a0b0c0d0e0f"}),
    ("undefined", 0x06, b"", {"$undefined": True}),
    ("object-id", 0x07, OID, {"$oid": OID.hex()}),
    ("true", 0x08, b"\x01", True),
    ("date", 0x09, pack("<q", 1_000), {"$date": "1970-01-01T00:00:01.000Z"}),
    ("far-date", 0x09, pack("<q", 1 << 62), {"$date": {"$numberLong": str(1 << 62)}}),
    ("null", 0x0A, b"", None),
    ("regex", 0x0B, b"^a\0i\0", {"$regularExpression": {"pattern": "^a", "options": "i"}}),
    ("pointer", 0x0C, string(b"t") + OID, {"$dbPointer": {"$ref": "t", "$id": {"$oid": OID.hex()}}}),
    ("code", 0x0D, string(b"f()"), {"$code": "f()"}),
    ("symbol", 0x0E, string(b"s"), {"$symbol": "s"}),
    (
        "scoped-code",
        0x0F,
        pack("<i", 8 + 4 + len(INNER)) + string(b"f()") + INNER,
        {"$code": "f()", "$scope": {"b": 1}},
    ),
    ("int32", 0x10, pack("<i", -2), -2),
    ("timestamp", 0x11, pack("<II", 3, 9), {"$timestamp": {"t": 9, "i": 3}}),
    ("int64", 0x12, pack("<q", -(1 << 40)), -(1 << 40)),
    ("decimal", 0x13, decimal(12345, -2), {"$numberDecimal": "123.45"}),
    ("decimal-exponent", 0x13, decimal(5, 3, 1), {"$numberDecimal": "-5E+3"}),
    ("decimal-infinity", 0x13, (0x1E << 122).to_bytes(16, "little"), {"$numberDecimal": "Infinity"}),
    ("decimal-nan", 0x13, (0x1F << 122).to_bytes(16, "little"), {"$numberDecimal": "NaN"}),
    ("min", 0xFF, b"", {"$minKey": 1}),
    ("max", 0x7F, b"", {"$maxKey": 1}),
]


@pytest.mark.parametrize(("kind", "value", "shown"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_types(kind: int, value: bytes, shown: Any) -> None:
    data = bson(element(kind, value), element(0x10, pack("<i", 7), b"z"))
    assert document_at(data, 0, len(data)) == ({"a": shown, "z": 7}, len(data))
    assert [name for name, *_ in elements(data, 0, len(data))] == ["a", "z"]


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        (0x02, string(b"x"), "x"),
        (0x08, b"\0", False),
        (0x10, pack("<i", 5), 5),
        (0x01, pack("<d", 2.0), 2.0),
        (0x07, OID, None),
    ],
    ids=["string", "bool", "int", "double", "other"],
)
def test_scalars(kind: int, value: bytes, shown: Any) -> None:
    data = bson(element(kind, value))
    ((_, found, start, end),) = elements(data, 0, len(data))
    assert scalar(data, found, start, end) == shown


@pytest.mark.parametrize(
    "broken",
    [
        element(0x99, b""),
        element(0x02, pack("<i", 9999)),
        element(0x05, pack("<i", -1) + b"\0"),
        b"\x02name-without-end",
        element(0x0B, b"^a"),
    ],
    ids=["type", "length", "negative", "name", "regex"],
)
def test_damage_keeps_what_came_before(broken: bytes) -> None:
    data = bson(element(0x10, pack("<i", 1)), broken)
    with pytest.raises(Damaged) as damage:
        document_at(data, 0, len(data))
    assert damage.value.so_far["a"] == 1
    assert [name for name, *_ in elements(data, 0, len(data))][:1] == ["a"]


def test_depth_and_number_are_bounded() -> None:
    deep = bson()
    for _ in range(200):
        deep = bson(element(0x03, deep))
    shown, _ = document_at(deep, 0, len(deep))
    assert "more than 64 levels" in json.dumps(shown)
    wide = bson(*[element(0x0A, b"", b"%d" % at) for at in range(30_000)])
    shown, end = document_at(wide, 0, len(wide))
    assert (len(shown), end) == (20_001, len(wide))
    assert len(list(elements(wide, 0, len(wide)))) == 256


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=6)
NESTED = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4))


@given(st.dictionaries(NAMES, NESTED, max_size=6))
def test_reads_what_the_driver_writes(written: dict[str, Any]) -> None:
    driver = pytest.importorskip("bson", reason="pip install pymongo")
    data = driver.encode(written)
    found, end = document_at(data, 0, len(data))
    assert end == len(data)
    assert found == json.loads(json.dumps(written), parse_constant=_infinity)


def _infinity(name: str) -> dict[str, str]:
    return {"$numberDouble": name}


WHOLE = bson(*[element(kind, value, b"n%d" % at) for at, (_, kind, value, _) in enumerate(CASES)])


@given(st.integers(0, len(WHOLE)), st.binary(max_size=8), st.integers(0, 8))
def test_any_bytes(at: int, junk: bytes, removed: int) -> None:
    data = WHOLE[:at] + junk + WHOLE[at + removed :]
    for name, kind, start, end in elements(data, 0, len(data)):
        assert name is not None and 0 < start <= end <= len(data)
        scalar(data, kind, start, end)
    try:
        shown, end = document_at(data, 0, len(data))
        assert 5 <= end <= len(data)
    except Damaged as damage:
        shown = damage.so_far
    json.dumps(shown)
