"""The wire reader: right on what CEL writes, an error on anything cut."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.kfl._wire import WireError, fields, signed, text


def test_fields_of_every_wire_type() -> None:
    data = bytes([0x08, 0x96, 0x01, 0x12, 0x02]) + b"hi" + bytes([0x19]) + bytes(8) + bytes([0x25]) + bytes(4)
    assert list(fields(data)) == [(1, 150), (2, b"hi"), (3, bytes(8)), (4, bytes(4))]


def test_numbers_are_signed() -> None:
    minus_one = bytes([0x08]) + b"\xff" * 9 + b"\x01"
    assert [signed(value) for _, value in fields(minus_one)] == [-1]
    with pytest.raises(WireError):
        signed(b"x")
    with pytest.raises(WireError):
        text(1)


@pytest.mark.parametrize("data", [b"\x08", b"\x12\x05hi", b"\x19\x00", b"\x0b", b"\x08" + b"\xff" * 11])
def test_cut_or_unknown(data: bytes) -> None:
    with pytest.raises(WireError):
        list(fields(data))


@given(st.binary(max_size=40))
def test_no_other_error(data: bytes) -> None:
    with suppress(WireError):
        list(fields(data))
