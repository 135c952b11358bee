"""Columns as binary batches for the page: docs/hub-api.md has the format.

Texts that come again are sent once a query (`dict`); those that do not are sent as they are (`text`).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

__all__ = ["MAGIC", "BatchEncoder", "decode_batch"]

MAGIC = b"KSB1"
HEAD = struct.Struct("<4sIIII")
ALIGN = 8
MAX_STRINGS = 65_536
"""Entries of a column's dictionary: a browser keeps them as long as the query."""

FEW = 256
"""Rows from which on a batch says something about how often texts come again."""

_NUMBERS = {"f64": "<f8", "u32": "<u4", "u16": "<u2", "u8": "u1", "dict": "<u4"}


class BatchEncoder:
    """Encodes the batches of one query, in order."""

    def __init__(self, query: int) -> None:
        self.query = query
        self.batch = 0
        self._known: dict[str, dict[str, int]] = {}
        self._as_text = {"id"}

    def encode(self, columns: Mapping[str, Sequence[Any]], cursor: str) -> bytes:
        """Return the next batch; all columns have the same length."""
        self.batch += 1
        described, arrays = [], []
        for name, values in columns.items():
            description, data = self._column(name, values)
            described.append({"name": name, **description})
            arrays.append(data)
        header = json.dumps({"columns": described, "cursor": cursor}, separators=(",", ":")).encode()
        count = len(next(iter(columns.values())))
        parts = [HEAD.pack(MAGIC, self.query, self.batch, count, len(header)), header]
        at = HEAD.size + len(header)
        for data in arrays:
            parts += [bytes(-at % ALIGN), data]
            at += -at % ALIGN + len(data)
        return b"".join(parts)

    def _column(self, name: str, values: Sequence[Any]) -> tuple[dict[str, Any], bytes]:
        kinds = set(map(type, values))
        if kinds == {bool}:
            return {"type": "u8"}, np.array(values, dtype="u1").tobytes()
        if kinds == {int}:
            fits = min(values) >= 0 and max(values) < 2**32
            kind = "u32" if fits else "f64"
            return {"type": kind}, np.array(values, dtype=_NUMBERS[kind]).tobytes()
        if kinds <= {int, float} and kinds:
            return {"type": "f64"}, np.array(values, dtype="<f8").tobytes()
        texts = values if kinds == {str} else [_text(value) for value in values]
        if name not in self._as_text:
            known = self._known.setdefault(name, {})
            before = len(known)
            indexes = [known.setdefault(text, len(known)) for text in texts]
            fresh = list(known)[before:] if len(known) > before else []
            if len(known) > MAX_STRINGS or (len(texts) >= FEW and len(fresh) > len(texts) // 2):
                self._as_text.add(name)
                del self._known[name]
            else:
                return {"type": "dict", "strings": fresh}, np.array(indexes, dtype="<u4").tobytes()
        raw = [text.encode("utf-8", "replace") for text in texts]
        offsets = np.zeros(len(raw) + 1, dtype="<u4")
        np.cumsum([len(each) for each in raw], out=offsets[1:])
        return {"type": "text"}, offsets.tobytes() + b"".join(raw)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | memoryview):
        return bytes(value[:256]).hex()
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def decode_batch(data: bytes, strings: dict[str, list[str]]) -> tuple[int, int, dict[str, list[Any]], str]:
    """Return (query, batch, columns, cursor); `strings` are the query's dictionaries, which grow.

    For programs that read the hub, and tests. Raises ValueError for what is no batch.
    """
    if len(data) < HEAD.size:
        raise ValueError("shorter than a batch's head")
    magic, query, batch, count, length = HEAD.unpack_from(data)
    if magic != MAGIC or HEAD.size + length > len(data):
        raise ValueError("not a batch")
    header = json.loads(data[HEAD.size : HEAD.size + length])
    at = HEAD.size + length
    columns: dict[str, list[Any]] = {}
    for column in header["columns"]:
        at += -at % ALIGN
        name, kind = column["name"], column["type"]
        if kind == "text":
            offsets = _array(data, at, "<u4", count + 1)
            at += 4 * (count + 1)
            if at + offsets[-1] > len(data) or offsets != sorted(offsets):
                raise ValueError(f"texts of {name} end outside of the batch")
            columns[name] = [data[at + low : at + high].decode() for low, high in pairwise(offsets)]
            at += offsets[-1]
            continue
        values = _array(data, at, _NUMBERS[kind], count)
        at += np.dtype(_NUMBERS[kind]).itemsize * count
        if kind == "dict":
            known = strings.setdefault(name, [])
            known += column["strings"]
            values = [known[index] for index in values]
        columns[name] = values
    return query, batch, columns, header["cursor"]


def _array(data: bytes, at: int, dtype: str, count: int) -> list[Any]:
    if at + np.dtype(dtype).itemsize * count > len(data):
        raise ValueError("a column ends outside of the batch")
    values: list[Any] = np.frombuffer(data, dtype, count, at).tolist()
    return values
