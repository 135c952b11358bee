"""The batch frame: items into one buffer, and a plugin's answer out of it, checked.

Layout and meaning: docs/adr/0003-batch-abi.md. Invariants:

1. The encoder never writes outside `out`; a frame that does not fit is a programming error (ValueError).
2. The decoders raise FrameError and nothing else, whatever the bytes are; where one item is to blame, they name it.
3. What a decoder returns is plain Python, copied: the buffer may be overwritten at once.
4. Decoding a result of n bytes takes O(n) time, and at most MAX_DECODED_BYTES for texts and bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from enum import IntEnum, IntFlag
from typing import NamedTuple

import msgspec
from msgspec import Struct

from kubeshark.errors import KubesharkError
from kubeshark.extension_api._models import MessageKind, PacketVerdict, Value, VariableType, Verdict

__all__ = [
    "ABI_VERSION",
    "CONFIGURE",
    "DISSECT",
    "ENRICH",
    "ERROR_FIELD",
    "FILTER",
    "JOB",
    "MAX_DISSECT_ITEMS",
    "MAX_FRAME_ITEMS",
    "MAX_FRAME_PAYLOAD",
    "MAX_ITEM_BYTES",
    "PACKET_FILTER",
    "PROBE",
    "RENDER",
    "REQUEST_BYTES",
    "RESULT_BYTES",
    "SEGMENT_SEALED",
    "START",
    "STOP",
    "SUMMARIZE",
    "Dissected",
    "FieldReader",
    "FieldType",
    "FrameError",
    "FrameItem",
    "FrameMessage",
    "ItemFlag",
    "Result",
    "accepted_types",
    "decode_dissect",
    "decode_filter",
    "decode_packets",
    "decode_probe",
    "decode_render",
    "decode_texts",
    "encode_request",
    "encode_values",
    "request_size",
]

ABI_VERSION = 1
PACKET_FILTER, SEGMENT_SEALED, PROBE, DISSECT, ENRICH, FILTER = range(1, 7)
SUMMARIZE, RENDER, JOB, CONFIGURE, START, STOP = range(7, 13)
"""Hook numbers of the frame; those of `_hookspecs.py`."""

MAX_FRAME_ITEMS = 1024  # 256 give 85 % of the rate in C: a call costs as much as parsing a hundred items
MAX_DISSECT_ITEMS = 4096  # of dissect: small items, whose parse takes less than a call; the payload bounds the work
MAX_FRAME_PAYLOAD = 512 << 10  # stays in the second-level cache on both sides
MAX_ITEM_BYTES = 4 << 20  # a single item that travels alone
REQUEST_BYTES = (4 << 20) + (64 << 10)  # fits MAX_ITEM_BYTES alone, or MAX_FRAME_PAYLOAD in MAX_DISSECT_ITEMS
RESULT_BYTES = 8 << 20  # most a plugin may answer to one frame
MAX_DECODED_BYTES = 32 << 20  # texts may overlap in a hostile result: bound their sum, not only the frame
ERROR_FIELD = 0xFFFF

REQUEST_MAGIC = 0x3142534B  # "KSB1"
RESULT_MAGIC = 0x3152534B  # "KSR1"
REQUEST_HEADER = struct.Struct("<IHHIIIIQ")  # magic, abi, hook, items, flags, payload offset, total, reserved
ITEM = struct.Struct("<IIQQBBHHHIIQ")  # offset, length, stream, time, side, transport, flags, ports, argument, 0, base
RESULT_HEADER = struct.Struct("<IHHIIIIII")  # magic, abi, hook, items, messages, fields, heap bytes, total, reserved
MESSAGE = struct.Struct("<IBBHIIQII")  # item, kind, flags, fields, start, end, key, first field, reserved
FIELD = struct.Struct("<HBBIQ")  # id, type, zero, zero, value
VALUES_HEADER = struct.Struct("<II")  # count, zero
SPAN = struct.Struct("<II")  # offset, length

ONE_WAY, HAS_ERROR, INTERIM = 1, 2, 4  # flags of a message


class FrameError(KubesharkError):
    """A result frame is wrong. `item` is the index of the item to blame, None where the frame as a whole is wrong."""

    def __init__(self, message: str, *, item: int | None = None) -> None:
        self.item = item
        super().__init__(message if item is None else f"item {item}: {message}")


class ItemFlag(IntFlag):
    FIRST = 1  # first item of this stream side
    LAST = 2  # nothing follows on this side
    GAP = 4  # bytes are missing just before
    CUT = 8  # captured shorter than it was


class FieldType(IntEnum):
    INT = 0
    DOUBLE = 1
    BOOL = 2
    ITEM_TEXT = 3
    HEAP_TEXT = 4
    HEAP_BYTES = 5
    ITEM_BYTES = 6
    HEAP_JSON = 7


class FrameItem(NamedTuple):
    """One item of a request; the payload is copied into the frame."""

    payload: bytes | memoryview
    stream: int = 0
    time_ns: int = 0
    direction: int = 0
    transport: int = 6  # IP protocol number
    flags: int = 0
    client_port: int = 0
    server_port: int = 0
    argument: int = 0
    base: int = 0


class FrameMessage(NamedTuple):
    """One message of a dissect result; `fields` is keyed by the field's index in the manifest."""

    item: int
    kind: MessageKind
    one_way: bool
    interim: bool
    start: int  # in the item
    end: int
    key: int  # 0: pair in order
    fields: dict[int, Value]
    error: str


class Dissected(Struct, frozen=True):
    consumed: list[int]  # bytes, one an item
    messages: list[FrameMessage]  # by item, then by start


def _align(size: int) -> int:
    return (size + 7) & ~7


def request_size(lengths: Sequence[int]) -> int:
    """Return the bytes that a frame with payloads of these lengths takes."""
    return REQUEST_HEADER.size + ITEM.size * len(lengths) + sum(map(_align, lengths))


def encode_request(hook: int, items: Sequence[FrameItem], out: memoryview | bytearray) -> int:
    """Write a request frame into `out` and return its size; padding bytes keep what `out` held."""
    payload_offset = REQUEST_HEADER.size + ITEM.size * len(items)
    offset = 0
    at = REQUEST_HEADER.size
    for item in items:
        length = len(item.payload)
        ITEM.pack_into(
            out, at, offset, length, item.stream, item.time_ns, item.direction, item.transport, item.flags,
            item.client_port, item.server_port, item.argument, 0, item.base,
        )  # fmt: skip
        begin = payload_offset + offset
        if begin + length > len(out):
            raise ValueError(f"request frame needs more than {len(out)} bytes")
        out[begin : begin + length] = item.payload
        offset += _align(length)
        at += ITEM.size
    total = payload_offset + offset
    if total > len(out):
        raise ValueError(f"request frame needs {total} bytes, has {len(out)}")
    REQUEST_HEADER.pack_into(out, 0, REQUEST_MAGIC, ABI_VERSION, hook, len(items), 0, payload_offset, total, 0)
    return total


def encode_values(values: Sequence[Value]) -> bytes:
    """Return a value list, the payload of items of most hooks: a field's id is its position."""
    heap_start = VALUES_HEADER.size + FIELD.size * len(values)
    heap = bytearray()
    fields = bytearray()
    for index, value in enumerate(values):
        # bool before int: it is one
        match value:
            case bool():
                kind, raw = FieldType.BOOL, int(value)
            case int():
                kind, raw = FieldType.INT, max(-(1 << 63), min(value, (1 << 63) - 1)) & 0xFFFFFFFFFFFFFFFF
            case float():
                kind, raw = FieldType.DOUBLE, int.from_bytes(struct.pack("<d", value), "little")
            case _:
                kind, data = _heap_value(value)
                raw = heap_start + len(heap) | len(data) << 32
                heap += data
        fields += FIELD.pack(index, kind, 0, 0, raw)
    return VALUES_HEADER.pack(len(values), 0) + fields + heap


def _heap_value(value: str | bytes | list[str] | dict[str, str]) -> tuple[FieldType, bytes]:
    if isinstance(value, str):
        return FieldType.HEAP_TEXT, value.encode("utf-8", "replace")
    if isinstance(value, bytes):
        return FieldType.HEAP_BYTES, value
    return FieldType.HEAP_JSON, msgspec.json.encode(value)


class Result:
    """A result whose header is checked; `at` is behind it."""

    def __init__(self, data: memoryview, hook: int, items: int) -> None:
        if len(data) < RESULT_HEADER.size:
            raise FrameError(f"a result of {len(data)} bytes is shorter than its header")
        magic, abi, its_hook, its_items, messages, fields, heap, total, reserved = RESULT_HEADER.unpack_from(data)
        if magic != RESULT_MAGIC:
            raise FrameError(f"result magic is {magic:#010x}, not KSR1")
        if abi != ABI_VERSION:
            raise FrameError(f"result is of ABI {abi}, not {ABI_VERSION}")
        if its_hook != hook:
            raise FrameError(f"result is for hook {its_hook}, not {hook}")
        if its_items != items:
            raise FrameError(f"result has {its_items} items, not {items}")
        if total != len(data) or total > RESULT_BYTES:
            raise FrameError(f"result says {total} bytes and has {len(data)}")
        if reserved:
            raise FrameError("reserved bytes of the result header are not zero")
        self.data = data
        self.messages: int = messages
        self.fields: int = fields
        self.heap_bytes: int = heap
        self.at = RESULT_HEADER.size

    def part(self, size: int, name: str) -> memoryview:
        """Return the next part; the one behind it begins 8-aligned."""
        if size > len(self.data) - self.at:
            raise FrameError(f"{name} of {size} bytes at {self.at} ends outside the result")
        part = self.data[self.at : self.at + size]
        self.at = min(_align(self.at + size), len(self.data))
        return part


def decode_probe(result: memoryview, items: int) -> list[Verdict]:
    """Return one verdict an item."""
    return [_VERDICTS[answer] for answer in _answers(result, PROBE, items)]


def decode_filter(result: memoryview, items: int) -> list[bool | None]:
    """Return true, false, or None for an error of the filter, one an item."""
    return [_TRUTHS[answer] for answer in _answers(result, FILTER, items)]


def decode_packets(result: memoryview, items: int) -> list[PacketVerdict]:
    """Return one verdict of a packet filter an item."""
    return [_PACKET_VERDICTS[answer] for answer in _answers(result, PACKET_FILTER, items)]


_KINDS = tuple(MessageKind)
_VERDICTS = (Verdict.NOT_MINE, Verdict.MINE, Verdict.NEED_MORE)
_TRUTHS = (False, True, None)
_PACKET_VERDICTS = tuple(PacketVerdict)


def _answers(data: memoryview, hook: int, items: int) -> bytes:
    result = Result(data, hook, items)
    answers = bytes(result.part(items, "answers"))
    for index, answer in enumerate(answers):
        if answer > 2:
            raise FrameError(f"answer {answer} is not 0, 1 or 2", item=index)
    return answers


def decode_render(result: memoryview, entries: int) -> list[bytes]:
    """Return one representation an entry, b"" for "not mine"."""
    return decode_texts(result, RENDER, entries)


def decode_texts(result: memoryview, hook: int, units: int) -> list[bytes]:
    """Return one JSON text a unit (not parsed yet), b"" for "nothing to say"."""
    frame = Result(result, hook, units)
    spans = frame.part(SPAN.size * units, "spans")
    heap = frame.part(frame.heap_bytes, "heap")
    budget = MAX_DECODED_BYTES
    texts = []
    for index, (offset, length) in enumerate(SPAN.iter_unpack(spans)):
        if offset + length > len(heap):
            raise FrameError(f"text {offset}+{length} ends outside the heap of {len(heap)}", item=index)
        budget -= length
        if budget < 0:
            raise FrameError(f"texts of more than {MAX_DECODED_BYTES} bytes", item=index)
        texts.append(bytes(heap[offset : offset + length]))
    return texts


def decode_dissect(
    result: memoryview, payloads: Sequence[bytes | memoryview], types: Sequence[VariableType]
) -> Dissected:
    """Return what a dissect result says about the items with these payloads; `types` are the manifest's fields."""
    items = len(payloads)
    frame = Result(result, DISSECT, items)
    consumed = [count for (count,) in struct.iter_unpack("<I", frame.part(4 * items, "consumed"))]
    for index, (count, payload) in enumerate(zip(consumed, payloads, strict=True)):
        if count > len(payload):
            raise FrameError(f"consumed {count} of {len(payload)} bytes", item=index)
    messages = frame.part(MESSAGE.size * frame.messages, "messages")
    fields = FIELD.iter_unpack(frame.part(FIELD.size * frame.fields, "fields"))
    values = FieldReader(frame.part(frame.heap_bytes, "heap"), payloads, types)
    decoded: list[FrameMessage] = []
    previous = (0, 0)
    next_field = 0
    for item, kind, flags, count, start, end, key, first_field, reserved in MESSAGE.iter_unpack(messages):
        if item >= items:
            raise FrameError(f"message {len(decoded)} belongs to item {item} of {items}")
        if kind > 2 or flags > 7 or reserved:
            raise FrameError(f"message has kind {kind}, flags {flags}, reserved {reserved}", item=item)
        if not start <= end <= consumed[item]:
            raise FrameError(f"message {start}-{end} is outside the {consumed[item]} consumed bytes", item=item)
        if (item, start) < previous:
            raise FrameError(f"message at {start} comes behind a later one", item=item)
        # each field belongs to exactly one message: else a few bytes could stand for gigabytes
        if first_field != next_field or count > frame.fields - next_field:
            raise FrameError(f"message has fields {first_field}+{count}, expected {next_field}", item=item)
        next_field += count
        previous = (item, start)
        found: dict[int, Value] = {}
        for _ in range(count):
            values.read(item, found, next(fields))
        error = found.pop(ERROR_FIELD, "")
        if bool(flags & HAS_ERROR) != bool(error):
            raise FrameError("message's error flag and error text disagree", item=item)
        decoded.append(
            FrameMessage(
                item,
                _KINDS[kind],
                bool(flags & ONE_WAY),
                bool(flags & INTERIM),
                start,
                end,
                key,
                found,
                str(error),
            )
        )
    if next_field != frame.fields:
        raise FrameError(f"{frame.fields - next_field} fields belong to no message")
    return Dissected(consumed, decoded)


# Plain integers: comparing with a member of an enum costs as much as the rest of a field.
_INT, _DOUBLE, _BOOL, _ITEM_TEXT, _HEAP_TEXT, _HEAP_BYTES, _ITEM_BYTES, _HEAP_JSON = map(int, FieldType)
_ACCEPTED: dict[VariableType, tuple[int, ...]] = {
    "string": (_ITEM_TEXT, _HEAP_TEXT),
    "int": (_INT,),
    "timestamp": (_INT,),
    "double": (_DOUBLE,),
    "bool": (_BOOL,),
    "bytes": (_ITEM_BYTES, _HEAP_BYTES),
    "list": (_HEAP_JSON,),
    "map": (_HEAP_JSON,),
}


def accepted_types(types: Sequence[VariableType]) -> bytes:
    """Return for each field of a manifest one byte: bit n says that a result may give it as FieldType n."""
    return bytes(sum(1 << kind for kind in _ACCEPTED[declared]) for declared in types)


_JSON_LIST = msgspec.json.Decoder(list[str])
_JSON_MAP = msgspec.json.Decoder(dict[str, str])


class FieldReader:
    """Reads fields of one result; keeps the budget for texts."""

    def __init__(self, heap: memoryview, payloads: Sequence[bytes | memoryview], types: Sequence[VariableType]) -> None:
        self.heap = heap
        self.payloads = payloads
        self.types = types
        self.budget = MAX_DECODED_BYTES

    def read(self, item: int, found: dict[int, Value], field: tuple[int, int, int, int, int]) -> None:
        """Check one field of a message of `item` and put its value into `found`."""
        number, kind, zero, zeros, raw = field
        if zero or zeros:
            raise FrameError(f"reserved bytes of field {number} are not zero", item=item)
        if number in found:
            raise FrameError(f"field {number} appears twice in one message", item=item)
        if number == ERROR_FIELD:
            declared: VariableType = "string"
        elif number < len(self.types):
            declared = self.types[number]
        else:
            raise FrameError(f"field {number} is not one of the manifest's {len(self.types)}", item=item)
        if kind not in _ACCEPTED[declared]:
            raise FrameError(f"field {number} is declared {declared} and has type {kind}", item=item)
        found[number] = self.value(item, number, declared, kind, raw)

    def value(self, item: int, number: int, declared: VariableType, kind: int, raw: int) -> Value:
        """Return the value of one field; FrameError if it is none of its type."""
        if kind == _INT:
            return raw - (1 << 64) if raw >> 63 else raw
        if kind == _DOUBLE:
            number_value: float = struct.unpack("<d", raw.to_bytes(8, "little"))[0]
            if not math.isfinite(number_value):
                raise FrameError(f"field {number} is not a finite number", item=item)
            return number_value
        if kind == _BOOL:
            if raw > 1:
                raise FrameError(f"field {number} is {raw}, not a bool", item=item)
            return raw == 1
        source = self.payloads[item] if kind in (_ITEM_TEXT, _ITEM_BYTES) else self.heap
        offset, length = raw & 0xFFFFFFFF, raw >> 32
        if offset + length > len(source):
            raise FrameError(f"field {number} at {offset}+{length} ends outside its {len(source)} bytes", item=item)
        self.budget -= length
        if self.budget < 0:
            raise FrameError(f"texts of more than {MAX_DECODED_BYTES} bytes", item=item)
        data = bytes(source[offset : offset + length])
        if kind in (_HEAP_BYTES, _ITEM_BYTES):
            return data
        if kind == _ITEM_TEXT:
            return data.decode("utf-8", "replace")  # traffic: the plugin does not vouch for it
        try:
            if kind == _HEAP_TEXT:
                return data.decode("utf-8")
            return _JSON_LIST.decode(data) if declared == "list" else _JSON_MAP.decode(data)
        except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
            raise FrameError(f"field {number}: {error}", item=item) from error
