"""The protobuf wire format, as far as a checked CEL expression needs it.

cel-expr-python hands its AST out as serialized bytes and ships no schema; these few lines replace a dependency on
protobuf and on generated code. Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["WireError", "fields", "signed", "text"]

Field = tuple[int, int | bytes]


class WireError(ValueError):
    """The bytes are not a protobuf message: a defect of the engine or of this reader, never of the user's text."""


def fields(data: bytes) -> Iterator[Field]:
    """Yield (field number, value): an int for varints, bytes for strings, messages and fixed-width numbers."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire_type == 2:
            length, at = _varint(data, at)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise WireError(f"wire type {wire_type} at byte {at}")
        if length > len(data) - at:
            raise WireError(f"{length} bytes wanted at byte {at}, {len(data) - at} left")
        yield number, data[at : at + length]
        at += length


def signed(value: int | bytes) -> int:
    """Read a varint as int64: two's complement in 64 bits."""
    if not isinstance(value, int):
        raise WireError("a varint was expected")
    return value - (1 << 64) if value >= 1 << 63 else value


def text(value: int | bytes) -> str:
    if not isinstance(value, bytes):
        raise WireError("a string was expected")
    return value.decode("utf-8")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise WireError("ends inside a varint")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFF_FFFF_FFFF_FFFF, at
    raise WireError("varint longer than ten bytes")
