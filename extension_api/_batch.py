"""Many items as columns: laid out into frames, and their results checked, without an object an item.

`Batch` holds the payloads in one buffer with a table of items beside it, as the frame does. `Columns` is a checked
result of `dissect`: rows as the plugin wrote them, made into objects when somebody asks. Both are done by the codec in
C where it was built (native/frame.c), else by its oracle, `_frame.py`; the results are the same.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import accumulate
from typing import Any, Self, Union, overload

from kubeshark.extension_api._frame import (
    DISSECT,
    ERROR_FIELD,
    FIELD,
    INTERIM,
    ITEM,
    MAX_DISSECT_ITEMS,
    MAX_FRAME_PAYLOAD,
    MESSAGE,
    ONE_WAY,
    FieldReader,
    FieldType,
    FrameItem,
    FrameMessage,
    Result,
    accepted_types,
    decode_dissect,
    encode_request,
)
from kubeshark.extension_api._models import MessageKind, Value, VariableType

_native: Any = None
with suppress(ImportError):  # no compiler when it was installed, or a big-endian machine
    _native = import_module("kubeshark.extension_api._frame_native")
ffi: Any = _native and _native.ffi
lib: Any = _native and _native.lib

__all__ = ["HAS_NATIVE", "Batch", "Columns", "decode_columns"]

ABI = 1
if lib is not None and lib.kf_abi() != ABI:
    raise ImportError("kubeshark.extension_api._frame_native was built from other sources: build it again")
HAS_NATIVE = lib is not None

_GOOD = 0  # as frame.h numbers them
_KINDS = tuple(MessageKind)
_ITEM_TEXT = int(FieldType.ITEM_TEXT)
_ITEM_BYTES = int(FieldType.ITEM_BYTES)
_INT = int(FieldType.INT)
Buffer = Union[bytes, bytearray, memoryview, "array[int]"]


class Batch(Sequence[FrameItem]):
    """Items of one hook. `items` is a table of frame items (ITEM, 48 bytes each; offsets are not read), `starts` says
    where each one's payload begins in `data`, in units of 8 bytes (u64). Buffers are looked at, not copied.
    """

    __slots__ = ("data", "items", "lengths", "starts")

    def __init__(self, data: Buffer, items: Buffer, starts: Buffer, lengths: Buffer) -> None:
        self.data = data
        self.items = memoryview(items).cast("B")
        self.starts = memoryview(starts).cast("B").cast("Q")
        self.lengths = memoryview(lengths).cast("B").cast("I")
        if not len(self.items) == ITEM.size * len(self.starts) == ITEM.size * len(self.lengths):
            raise ValueError("the columns of a batch have different lengths")

    @classmethod
    def of(cls, items: Sequence[FrameItem]) -> Self:
        """Return a batch of these items; their payloads are copied behind each other."""
        payloads = [item.payload for item in items]
        lengths = array("I", map(len, payloads))
        starts = array("Q", accumulate(lengths, initial=0))[:-1]
        pack = ITEM.pack
        table = b"".join(
            [
                pack(0, length, stream, time_ns, side, transport, flags, client, server, argument, 0, base)
                for length, (_, stream, time_ns, side, transport, flags, client, server, argument, base) in zip(
                    lengths, items, strict=True
                )
            ]
        )
        return cls(b"".join(payloads), table, starts, lengths)

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, at: int) -> FrameItem: ...
    @overload
    def __getitem__(self, at: slice) -> Batch: ...
    def __getitem__(self, at: int | slice) -> FrameItem | Batch:
        """Return an item, or the batch of a slice without a step."""
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if step != 1:
                raise ValueError("a batch is cut into neighbours")
            part = object.__new__(Batch)  # whose columns are as long as each other
            part.data, part.items = self.data, self.items[start * ITEM.size : max(start, stop) * ITEM.size]
            part.starts, part.lengths = self.starts[start:stop], self.lengths[start:stop]
            return part
        at = range(len(self))[at]
        _, length, stream, time_ns, side, transport, flags, client, server, argument, _, base = ITEM.unpack_from(
            self.items, at * ITEM.size
        )
        start = self.starts[at]
        payload = memoryview(self.data)[start : start + length]
        return FrameItem(payload, stream, time_ns, side, transport, flags, client, server, argument, base)

    def frames(
        self, bounds: Callable[[], tuple[int, int]] = lambda: (MAX_DISSECT_ITEMS, MAX_FRAME_PAYLOAD)
    ) -> Iterator[slice]:
        """Cut into frames: by count and payload, as `bounds` says for each; an item that is larger travels alone."""
        start, count = 0, len(self)
        lengths: Any = ffi.from_buffer("uint32_t[]", self.lengths) if HAS_NATIVE and count else self.lengths
        while start < count:
            most, payload = bounds()
            if HAS_NATIVE:
                taken = int(lib.kf_cut(lengths + start, count - start, most, payload))
            else:
                taken, size = 1, lengths[start]
                limit = min(count - start, most)
                while taken < limit and size + lengths[start + taken] <= payload:
                    size += lengths[start + taken]
                    taken += 1
            yield slice(start, start + taken)
            start += taken

    def encode(self, hook: int, out: memoryview | bytearray) -> int:
        """Write one request frame with all items; see `encode_request`."""
        if not HAS_NATIVE or not len(self):
            return encode_request(hook, list(self), out)
        size = lib.kf_encode(
            hook,
            ffi.from_buffer("kf_item[]", self.items),
            ffi.from_buffer("uint64_t[]", self.starts),
            len(self),
            ffi.from_buffer("uint8_t[]", self.data),
            len(self.data),
            ffi.from_buffer("uint8_t[]", out, require_writable=True),
            len(out),
        )
        if not size:
            raise ValueError(f"request frame needs more than {len(out)} bytes, or an item lies outside of its data")
        return int(size)


class Columns:
    """What `dissect` said about a batch, checked: `consumed` (u32 an item), and rows of messages and of their fields
    (MESSAGE, FIELD: docs/adr/0003-batch-abi.md) with the heap that they point into. A copy: valid for good.
    """

    __slots__ = ("batch", "consumed", "fields", "heap", "messages", "types")

    def __init__(
        self,
        batch: Batch,
        types: Sequence[VariableType],
        consumed: memoryview,
        messages: memoryview,
        fields: memoryview,
        heap: memoryview,
    ) -> None:
        self.batch = batch
        self.types = types
        self.consumed = consumed
        self.messages = messages
        self.fields = fields
        self.heap = heap

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self.messages) // MESSAGE.size

    def read(self) -> Iterator[FrameMessage]:
        """Yield the messages as objects, with the values of their fields."""
        fields = list(FIELD.iter_unpack(self.fields))
        data, starts, types = memoryview(self.batch.data), self.batch.starts, self.types
        heap = FieldReader(self.heap, (), types)
        for item, kind, flags, count, start, end, key, first, _ in MESSAGE.iter_unpack(self.messages):
            base = starts[item]
            values: dict[int, Value] = {}
            error = ""
            for number, type_, _, _, raw in fields[first : first + count]:
                if type_ == _ITEM_TEXT:
                    begin = base + (raw & 0xFFFFFFFF)
                    value: Value = str(data[begin : begin + (raw >> 32)], "utf-8", "replace")
                elif type_ == _INT:
                    value = raw - (1 << 64) if raw >> 63 else raw
                elif type_ == _ITEM_BYTES:
                    begin = base + (raw & 0xFFFFFFFF)
                    value = bytes(data[begin : begin + (raw >> 32)])
                else:
                    declared: VariableType = "string" if number == ERROR_FIELD else types[number]
                    value = heap.value(item, number, declared, type_, raw)
                if number == ERROR_FIELD:
                    error = str(value)
                else:
                    values[number] = value
            is_one_way, is_interim = bool(flags & ONE_WAY), bool(flags & INTERIM)
            yield FrameMessage(item, _KINDS[kind], is_one_way, is_interim, start, end, key, values, error)

    def values(self, rows: Sequence[int], items: Sequence[int]) -> Iterator[Value]:
        """Yield the values of these rows of `fields`, each of a message of the item at the same place."""
        data, starts, types = memoryview(self.batch.data), self.batch.starts, self.types
        fields = list(FIELD.iter_unpack(self.fields))
        heap = FieldReader(self.heap, (), types)
        for row, item in zip(rows, items, strict=True):
            number, type_, _, _, raw = fields[row]
            if type_ == _ITEM_TEXT:
                begin = starts[item] + (raw & 0xFFFFFFFF)
                yield str(data[begin : begin + (raw >> 32)], "utf-8", "replace")
            elif type_ == _ITEM_BYTES:
                begin = starts[item] + (raw & 0xFFFFFFFF)
                yield bytes(data[begin : begin + (raw >> 32)])
            else:
                yield heap.value(item, number, types[number], type_, raw)

    def by_item(self) -> list[tuple[int, list[FrameMessage]]]:
        """Return the bytes consumed and the messages of each item."""
        messages: list[list[FrameMessage]] = [[] for _ in self.consumed]
        for message in self.read():
            messages[message.item].append(message)
        return list(zip(self.consumed.tolist(), messages, strict=True))


def decode_columns(result: memoryview, batch: Batch, types: Sequence[VariableType]) -> Columns:
    """Return what a dissect result says about a batch; FrameError as `decode_dissect` raises it."""
    data = memoryview(bytes(result))  # whoever wrote it may do so again: what is checked is this copy
    frame = Result(data, DISSECT, len(batch))
    if not _is_right(data, batch, types):
        decode_dissect(data, [item.payload for item in batch], types)  # says why, or takes it after all
    consumed = frame.part(4 * len(batch), "consumed").cast("I")
    messages = frame.part(MESSAGE.size * frame.messages, "messages")
    fields = frame.part(FIELD.size * frame.fields, "fields")
    return Columns(batch, types, consumed, messages, fields, frame.part(frame.heap_bytes, "heap"))


def _is_right(data: memoryview, batch: Batch, types: Sequence[VariableType]) -> bool:
    if not HAS_NATIVE:
        return False
    lengths = ffi.from_buffer("uint32_t[]", batch.lengths) if len(batch) else ffi.NULL
    accepted = _accepted(tuple(types))
    verdict = lib.kf_check(ffi.from_buffer("uint8_t[]", data), len(data), lengths, len(batch), accepted, len(accepted))
    return bool(verdict == _GOOD)


_accepted = functools.lru_cache(maxsize=64)(accepted_types)
