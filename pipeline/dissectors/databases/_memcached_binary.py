"""memcached's binary protocol (protocol_binary.txt): a header of 24 bytes that says everything about what follows."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._memcached_text import MAX_VALUES, Item, Unit

__all__ = ["REQUEST", "RESPONSE", "is_header", "read_packets"]

REQUEST, RESPONSE = 0x80, 0x81
HEADER = Struct(">BBHBBHIIQ")
HEADER_BYTES = HEADER.size
MAX_KEY = 250
MAX_BODY = 1 << 30
"""Largest item a server can be told to take (-I)."""

_NAMES = (
    "get set add replace delete incr decr quit flush_all getq noop version getk getkq append prepend stats setq addq"
    " replaceq deleteq incrq decrq quitq flush_allq appendq prependq verbosity touch gat gatq"
)
OPCODES = dict(enumerate(_NAMES.split())) | {
    0x20: "sasl_list_mechs",
    0x21: "sasl_auth",
    0x22: "sasl_step",
    0x23: "gatk",
    0x24: "gatkq",
    0x30: "rget",
    0x31: "rset",
    0x32: "rsetq",
    0x33: "rappend",
    0x34: "rappendq",
    0x35: "rprepend",
    0x36: "rprependq",
    0x37: "rdelete",
    0x38: "rdeleteq",
    0x39: "rincr",
    0x3A: "rincrq",
    0x3B: "rdecr",
    0x3C: "rdecrq",
    0x3D: "set_vbucket",
    0x3E: "get_vbucket",
    0x3F: "del_vbucket",
}
STATUSES = {
    0x00: "NO_ERROR",
    0x01: "KEY_NOT_FOUND",
    0x02: "KEY_EXISTS",
    0x03: "VALUE_TOO_LARGE",
    0x04: "INVALID_ARGUMENTS",
    0x05: "NOT_STORED",
    0x06: "NON_NUMERIC_VALUE",
    0x07: "VBUCKET_ON_ANOTHER_SERVER",
    0x20: "AUTH_ERROR",
    0x21: "AUTH_CONTINUE",
    0x81: "UNKNOWN_COMMAND",
    0x82: "OUT_OF_MEMORY",
    0x83: "NOT_SUPPORTED",
    0x84: "INTERNAL_ERROR",
    0x85: "BUSY",
    0x86: "TEMPORARY_FAILURE",
}
STATS = 0x10
_EXTRAS = {  # of requests, where opcodes have some
    **dict.fromkeys((0x01, 0x02, 0x03, 0x11, 0x12, 0x13), (8,)),
    **dict.fromkeys((0x05, 0x06, 0x15, 0x16), (20,)),
    **dict.fromkeys((0x08, 0x18), (0, 4)),
    **dict.fromkeys((0x1B, 0x1C, 0x1D, 0x1E, 0x23, 0x24), (4,)),
}
_WITHOUT_KEY = frozenset((0x07, 0x08, 0x0A, 0x0B, STATS, 0x17, 0x18, 0x1B, 0x20))
_ARITHMETIC = frozenset((0x05, 0x06, 0x15, 0x16))
_SASL = frozenset((0x21, 0x22))


def is_header(data: bytes, at: int, magic: int, *, strict: bool = True) -> bool:
    """Say whether a packet of this kind may begin at `at`; `strict`: and hardly anything else."""
    if len(data) - at < HEADER_BYTES or data[at] != magic:
        return False
    _, opcode, key, extras, data_type, status, body, _, _ = HEADER.unpack_from(data, at)
    if key > MAX_KEY or key + extras > body or body > MAX_BODY:
        return False
    if not strict:
        return True
    if opcode not in OPCODES or data_type != 0:
        return False
    if magic == RESPONSE:
        return status in STATUSES and extras in (0, 4)
    return extras in _EXTRAS.get(opcode, (0,)) and (key > 0 or opcode in _WITHOUT_KEY)


def read_packets(wire: Wire, magic: int) -> Iterator[Unit]:
    """Read one side; the many answers to one STAT are one unit."""
    data, at, size = wire.data, 0, len(wire.data)
    if wire.starts_midway and not is_header(data, 0, magic):
        at = _next_header(data, 0, magic)
    while at < size:
        unit = _packet(wire, at, magic)
        if unit.error and unit.end < size and not is_header(data, unit.end, magic, strict=False):
            unit.end = _next_header(data, max(unit.end, at + 1), magic)
        while magic == RESPONSE and unit.command == "stats" and not unit.error and unit.items and unit.end < size:
            if data[unit.end] != magic or data[unit.end + 1 : unit.end + 2] != bytes((STATS,)):
                break
            more = _packet(wire, unit.end, magic)
            unit.end, unit.error = more.end, more.error
            if not more.items:
                break
            if len(unit.items) < MAX_VALUES:
                unit.items += more.items
        yield unit
        at = unit.end


def _next_header(data: bytes, at: int, magic: int) -> int:
    mark = bytes((magic,))
    while (at := data.find(mark, at)) >= 0:
        if is_header(data, at, magic):
            return at
        at += 1
    return len(data)


def _packet(wire: Wire, at: int, magic: int) -> Unit:
    data, size = wire.data, len(wire.data)
    unit = Unit(at, min(size, at + HEADER_BYTES), is_binary=True)
    if gap := wire.gap_in(at, at + HEADER_BYTES):
        unit.end, unit.error = min(size, max(gap[1], at + 1)), f"gap: {gap[2]} bytes missing at {gap[0]}"
        return unit
    if size - at < HEADER_BYTES:
        unit.error = f"truncated: only {size - at} bytes were captured"
        return unit
    if not is_header(data, at, magic, strict=False):
        unit.end, unit.error = at + 1, f"malformed: no header at {at}"
        return unit
    _, opcode, key_length, extras_length, _, code, body_length, opaque, cas = HEADER.unpack_from(data, at)
    end = wire.after(at + HEADER_BYTES, body_length)
    unit.end = min(end, size)
    unit.command = OPCODES.get(opcode, f"opcode {opcode:#04x}")
    unit.is_quiet = unit.command.endswith("q") and opcode != 0x17
    unit.is_silent = opcode == 0x17
    unit.opaque, unit.cas = opaque, cas
    unit.is_secret = opcode in _SASL and magic == REQUEST
    if end > size:
        unit.error = f"truncated: only {size - at} bytes were captured"
    if gap := wire.gap_in(at, unit.end):
        unit.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
    extras_at = at + HEADER_BYTES
    key_at = extras_at + extras_length
    value_at = min(key_at + key_length, unit.end)
    extras, key = data[extras_at:key_at], text(wire.captured(key_at, value_at))
    if key:
        unit.keys = [key]
    value = Item(key, 0, max(0, body_length - extras_length - key_length), value_at, unit.end)
    if magic == REQUEST:
        _request_extras(unit, opcode, extras)
        value.flags = unit.flags
        if value.size:
            unit.items = [value]
        return unit
    unit.code, unit.status = code, STATUSES.get(code, f"status {code:#06x}")
    unit.is_success = code == 0
    value.flags = int.from_bytes(extras[:4], "big")
    if code:
        unit.message = text(wire.captured(value_at, min(unit.end, value_at + 1_000)))
    elif opcode in _ARITHMETIC and unit.end - value_at == 8:
        unit.message = str(int.from_bytes(data[value_at : unit.end], "big"))
    elif value.size or key:
        unit.items = [value]
    return unit


def _request_extras(unit: Unit, opcode: int, extras: bytes) -> None:
    if len(extras) == 8:
        unit.flags, unit.expiration = (int.from_bytes(extras[at : at + 4], "big") for at in (0, 4))
    elif len(extras) == 20 and opcode in _ARITHMETIC:
        delta, initial, unit.expiration = (int.from_bytes(extras[at : at + 8], "big") for at in (0, 8, 16))
        unit.options = [str(delta), str(initial)]
    elif len(extras) == 4:
        unit.expiration = int.from_bytes(extras, "big")
