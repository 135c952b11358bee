"""A container of JSON metadata and number columns: the plaintext of indexes and of the catalogue.

    8 bytes magic | u32 length | JSON | zeros to a multiple of 8 | columns, each padded to a multiple of 8

The JSON is {"meta": …, "columns": [[name, dtype, shape, coding], …]}, columns in order of appearance. A coding makes a
column smaller under zstd: "delta" holds differences to the value before (modulo the type's range), "planes" all first
bytes of the values, then all second bytes, and so on; "delta planes" does both.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture._core import load_core
from kubeshark.errors import Damaged

__all__ = ["Coding", "Column", "Contents", "decoder", "pack", "unpack"]

_HEAD = struct.Struct("<8sI")
_MAX_COLUMNS = 64

Coding = Literal["", "delta", "planes", "delta planes"]
_Dtype = Literal["|u1", "<u2", "<u4", "<u8", "<i8"]  # the digit is the width in bytes
_Extent = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]  # a bound for shapes without bytes too
_Shape = Annotated[tuple[_Extent, ...], msgspec.Meta(min_length=1, max_length=2)]

T = TypeVar("T")


class Column(msgspec.Struct, frozen=True):
    """Numbers under a name; one or two dimensions."""

    name: str
    values: NDArray[Any]
    coding: Coding = ""


_Stored = tuple[
    memoryview, _Dtype, tuple[int, ...], Coding
]  # data of the length that type and shape ask for, and coding


class _Text(msgspec.Struct, Generic[T]):
    """The JSON part."""

    meta: T
    columns: Annotated[list[tuple[str, _Dtype, _Shape, Coding]], msgspec.Meta(max_length=_MAX_COLUMNS)]


class Contents(msgspec.Struct, Generic[T], frozen=True):
    """A container whose columns are decoded when asked for: a query needs few of an index's many."""

    meta: T
    name: str  # of the file, for messages
    end: int  # offset behind the last column
    _columns: dict[str, _Stored]

    def __contains__(self, column: str) -> bool:
        return column in self._columns

    def column(self, name: str, dtype: str, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
        """Decode a column; raise Damaged unless it has this type and shape (None: one dimension)."""
        stored = self._columns.get(name)
        fits = stored is not None and (len(stored[2]) == 1 if shape is None else stored[2] == shape)
        if stored is None or not fits or stored[1] != dtype:
            raise Damaged(f"column {name} is missing or not {dtype} {shape or ''}", file=self.name)
        return _decode(stored)

    def part(self, name: str, dtype: str, rows: int, wanted: Sequence[tuple[int, int]]) -> NDArray[Any]:
        """Decode stretches of a column of `rows` numbers, from and to where each, one behind the other."""
        stored = self._columns.get(name)
        if stored is None or stored[1:] != (dtype, (rows,), "planes"):
            whole = self.column(name, dtype, (rows,))
            return np.concatenate([whole[:0], *(whole[first:stop] for first, stop in wanted)])
        planes = stored[0]
        starts = range(0, len(planes), max(rows, 1))
        parts = b"".join(planes[start + first : start + stop] for start in starts for first, stop in wanted)
        return _decode((memoryview(parts), stored[1], (sum(stop - first for first, stop in wanted),), "planes"))


_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}


def decoder(meta: type[T]) -> msgspec.json.Decoder[_Text[T]]:
    """Return what decodes and checks the JSON of a container with this `meta`; making one takes 1 ms."""
    if meta not in _DECODERS:
        _DECODERS[meta] = msgspec.json.Decoder(_Text[meta])  # type: ignore[valid-type]
    return _DECODERS[meta]


def pack(magic: bytes, meta: object, columns: list[Column]) -> bytes:
    """Return the container; `meta` is a Struct or dataclass."""
    listed = [(c.name, c.values.dtype.str, c.values.shape, c.coding) for c in columns]
    text = msgspec.json.encode({"meta": meta, "columns": listed})
    parts = [_HEAD.pack(magic, len(text)), text, bytes(-(_HEAD.size + len(text)) % 8)]
    for column in columns:
        body = _encode(column)
        parts += (body, bytes(-len(body) % 8))
    return b"".join(parts)


def unpack(data: bytes, magic: bytes, meta: type[T], name: str, *, text_limit: int | None = None) -> Contents[T]:
    """Return the contents; raise Damaged unless `meta` fits and every length lies inside `data`.

    `text_limit`: the most that the JSON may take.
    """
    if len(data) < _HEAD.size:
        raise Damaged("too short", file=name, offset=0)
    found, length = _HEAD.unpack_from(data)
    if found != magic:
        raise Damaged(f"begins with {found!r} instead of {magic!r}", file=name, offset=0)
    if length > len(data) - _HEAD.size:
        raise Damaged("its metadata is longer than the file", file=name, offset=8)
    if text_limit is not None and length > text_limit:
        raise Damaged(f"metadata of {length:,} bytes where {text_limit:,} are allowed", file=name, offset=8)
    at = _HEAD.size + length
    try:
        text = decoder(meta).decode(data[_HEAD.size : at])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"its metadata: {error}", file=name, offset=_HEAD.size) from error
    at += -at % 8
    columns: dict[str, _Stored] = {}
    view = memoryview(data)
    for key, dtype, shape, coding in text.columns:
        size = shape[0] * int(dtype[2]) * (shape[1] if len(shape) == 2 else 1)
        if at > len(data) or size > len(data) - at:
            raise Damaged(f"column {key} ends behind the file", file=name, offset=at)
        columns[key] = view[at : at + size], dtype, shape, coding
        at += size + -size % 8
    return Contents(text.meta, name, at, columns)


def _encode(column: Column) -> bytes:
    values = np.ascontiguousarray(column.values)
    if "delta" in column.coding and len(values):
        steps = np.empty_like(values)
        steps[:1] = values[:1]
        np.subtract(values[1:], values[:-1], out=steps[1:])
        values = steps
    if "planes" in column.coding and values.size:
        return values.reshape(len(values), -1).view(np.uint8).T.tobytes()
    return values.tobytes()


def _decode(stored: _Stored) -> NDArray[Any]:
    data, dtype, shape, coding = stored
    if not len(data):
        return np.empty(shape, dtype=dtype)
    if dtype == "|u1" and coding == "planes":
        return np.frombuffer(data, dtype=dtype).reshape(shape[::-1]).T
    if "planes" in coding:
        return load_core().unplane(data, dtype, shape, delta="delta" in coding)
    values = np.frombuffer(data, dtype=dtype).reshape(shape)
    return np.cumsum(values, axis=0, dtype=dtype) if "delta" in coding else values
