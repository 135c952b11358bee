"""Hessian 2.0 values, by the examples of its specification."""

from __future__ import annotations

import contextlib
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.rpc._hessian2 import Hessian2, Malformed

CAR = b"C\x0bexample.Car\x92\x05color\x05model"
VALUES: dict[str, tuple[bytes, Any]] = {
    "null": (b"N", None),
    "true": (b"T", True),
    "false": (b"F", False),
    "int 0": (b"\x90", 0),
    "int -16": (b"\x80", -16),
    "int 47": (b"\xbf", 47),
    "int -2048": (b"\xc0\x00", -2048),
    "int -256": (b"\xc7\x00", -256),
    "int 2047": (b"\xcf\xff", 2047),
    "int -262144": (b"\xd0\x00\x00", -262144),
    "int 262143": (b"\xd7\xff\xff", 262143),
    "int": (b"I\xff\xff\xff\xfe", -2),
    "long -8": (b"\xd8", -8),
    "long 15": (b"\xef", 15),
    "long -2048": (b"\xf0\x00", -2048),
    "long 2047": (b"\xff\xff", 2047),
    "long -262144": (b"\x38\x00\x00", -262144),
    "long 262143": (b"\x3f\xff\xff", 262143),
    "long of 4": (b"Y\x00\x00\x01\x2c", 300),
    "long": (b"L\x00\x00\x00\x01\x00\x00\x00\x00", 1 << 32),
    "double 0": (b"\x5b", 0.0),
    "double 1": (b"\x5c", 1.0),
    "double of 1": (b"\x5d\x80", -128.0),
    "double of 2": (b"\x5e\x80\x00", -32768.0),
    "double of 4": (b"\x5f\x00\x00\x2f\xda", 12.25),
    "double": (b"D" + pack(">d", 12.5), 12.5),
    "date": (b"\x4a" + pack(">q", 894621091000), {"date": 894621091000}),
    "date in minutes": (b"\x4b" + pack(">i", 14910351), {"date": 894621060000}),
    "empty": (b"\0", ""),
    "short": (b"\x05hello", "hello"),
    "beyond ASCII": (b"\x01\xc3\x83", "Ã"),
    "beyond U+FFFF": (b"\x02\xf0\x9f\x98\x80", "😀"),
    "beyond U+FFFF as Java writes it": (b"\x02\xed\xa0\xbd\xed\xb8\x80", "😀"),
    "not UTF-8": (b"\x01\xed.1", "\ufffd.1"),
    "medium": (b"\x31\x00" + b"x" * 256, "x" * 256),
    "long string": (b"S\x00\x05hello", "hello"),
    "string in chunks": (b"R\x00\x02he\x03llo", "hello"),
    "binary": (b"\x23\x01\x02\xff", "base64:AQL/"),
    "medium binary": (b"\x34\x02ab", "ab"),
    "binary in chunks": (b"A\x00\x01aB\x00\x01b", "ab"),
    "list": (b"\x57\x90\x91Z", [0, 1]),
    "list of 2": (b"\x7a\x90\x91", [0, 1]),
    "counted list": (b"\x58\x92\x90\x91", [0, 1]),
    "typed list": (b"V\x04[int\x92\x90\x91", [0, 1]),
    "typed list of 2": (b"\x72\x04[int\x90\x91", [0, 1]),
    "typed open list": (b"U\x04[int\x90\x91Z", [0, 1]),
    "list of a type read before": (b"\x7a\x71\x04[int\x90\x71\x90\x91", [[0], [1]]),
    "map": (b"H\x91\x03fee\xa0\x03fieZ", {"1": "fee", "16": "fie"}),
    "typed map": (b"M\x13com.caucho.test.Car\x05color\x03redZ", {"class": "com.caucho.test.Car", "color": "red"}),
    "object": (CAR + b"\x60\x03red\x08corvette", {"class": "example.Car", "color": "red", "model": "corvette"}),
    "object by number": (CAR + b"O\x90\x03red\x01x", {"class": "example.Car", "color": "red", "model": "x"}),
    "reference": (b"H\x01a\x51\x90Z", {"a": "<reference 0>"}),
}


@pytest.mark.parametrize("name", VALUES)
def test_value(name: str) -> None:
    data, expected = VALUES[name]
    reader = Hessian2(data)
    assert reader.value() == expected
    assert reader.is_done


@pytest.mark.parametrize("name", [name for name, (data, _) in VALUES.items() if len(data) > 1])
def test_every_cut(name: str) -> None:
    data, _ = VALUES[name]
    for cut in range(len(data)):
        with pytest.raises(Malformed):
            Hessian2(data[:cut]).value()


@pytest.mark.parametrize(
    "data",
    [b"\x57" * 40, b"\x60", b"O\x99", b"C\x01a\xd7\xff\xff", b"\x58\xd7\xff\xff", b"Z", b"R\0\0N", b"A\0\0N", b"\x40"],
    ids=["depth", "no class", "no such class", "fields", "count", "end", "string", "binary", "tag"],
)
def test_what_cannot_be(data: bytes) -> None:
    with pytest.raises(Malformed):
        Hessian2(data).value()


def test_texts() -> None:
    reader = Hessian2(b"N\x91\x01a")
    assert [reader.text() for _ in range(3)] == ["", "1", "a"]


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    reader = Hessian2(data)
    with contextlib.suppress(Malformed):
        while not reader.is_done:
            reader.value()
    assert 0 <= reader.at <= len(data)
