"""Entries as the shim reads them: JSON in ASCII, numbers that JavaScript holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from kubeshark.extension_api._frame import REQUEST_BYTES

__all__ = ["BATCH", "batches", "encode_document"]

BATCH = 256
BATCH_BYTES = 2 << 20
LARGEST = REQUEST_BYTES - (64 << 10)
SAFE = 2**53
_LONG_NUMBER = re.compile(rb"[\[:,]-?\d{16,}[,\]}]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def encode_document(document: Mapping[str, Any]) -> bytes:
    """Return a document as JSON in ASCII; whole numbers beyond 2^53 become strings."""
    raw = msgspec.json.encode(document)
    if _LONG_NUMBER.search(raw):
        raw = msgspec.json.encode(_safe(document))
    if raw.isascii():
        return raw
    return _NOT_ASCII.sub(_escape, raw.decode("utf-8", "replace")).encode("ascii")


def batches(items: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of items that go together; one that fits no request is left out."""
    start = size = 0
    for at, item in enumerate(items):
        if len(item) > LARGEST:
            if at > start:
                yield start, at
            start, size = at + 1, 0
            continue
        if at > start and (size + len(item) > BATCH_BYTES or at - start == BATCH):
            yield start, at
            start, size = at, 0
        size += len(item) + 1
    if start < len(items):
        yield start, len(items)


def _escape(found: re.Match[str]) -> str:
    point = ord(found[0])
    if point < 0x10000:
        return f"\\u{point:04x}"
    point -= 0x10000
    return f"\\u{0xD800 + (point >> 10):04x}\\u{0xDC00 + (point & 0x3FF):04x}"


def _safe(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -SAFE <= value <= SAFE else str(value)
    if isinstance(value, Mapping):
        return {name: _safe(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(inner) for inner in value]
    return value
