"""Header blocks of HTTP/2 (RFC 7541), also where the capture missed some of them.

`hpack` gives the static table and the Huffman code; its decoder is for an end of the connection, which has seen every
block and stops at the first error. A capture may begin late or have gaps. Then:

1. Literals and the static table are always read; what was added since is known, what was added before is `UNKNOWN`.
2. An index never gives a wrong field: entries count from the newest, so those added since the loss are certain.
3. Evicting an entry changes no index of the newer ones, so the table's agreed size only matters for memory.
"""

from __future__ import annotations

from collections import deque
from functools import cache

from msgspec import Struct, field

__all__ = ["MAX_BLOCK", "MAX_LIST", "UNKNOWN", "Block", "Field", "HeaderDecoder"]

Field = tuple[bytes, bytes]

UNKNOWN = b"<unknown>"
"""Stands for a name or a value in a table entry that was added before the capture, or in a gap."""
MAX_BLOCK = 256 << 10
"""Bytes of one header block with its continuations; servers take 8 to 64 KiB."""
MAX_LIST = 64 << 10
"""Bytes of names and values kept of one block: an index of one byte may stand for an entry of 4 KiB."""
MAX_TABLE = 64 << 10
"""Bytes of the dynamic table; 4096 by default, browsers ask for 64 KiB (RFC 7541 §4.2)."""
ENTRY_OVERHEAD = 32  # RFC 7541 §4.1
MAX_INTEGER_BYTES = 5  # 35 bits: more than any length or index here


class Block(Struct):
    """A decoded header block."""

    fields: list[Field] = field(default_factory=list)
    error: str = ""


class _Malformed(ValueError):
    pass


@cache
def _static_table() -> tuple[Field, ...]:
    from hpack.table import HeaderTable  # only captures with HTTP/2 need it

    return tuple(HeaderTable.STATIC_TABLE)


def _unhuffman(data: bytes) -> bytes:
    from hpack.exceptions import HPACKDecodingError
    from hpack.huffman_table import decode_huffman

    try:
        return bytes(decode_huffman(data))
    except HPACKDecodingError as error:
        raise _Malformed("bad Huffman code") from error


class HeaderDecoder:
    """One direction's decoding context. `is_complete`: every block since the connection began was seen."""

    def __init__(self, *, is_complete: bool) -> None:
        self._is_complete = is_complete
        self._entries: deque[Field] = deque()  # newest first
        self._size = 0

    def forget(self) -> None:
        """Blocks were lost: what the table holds now is not known."""
        self._entries.clear()
        self._size = 0
        self._is_complete = False

    def decode(self, data: bytes) -> Block:
        """Read a header block; what comes before an error is kept, and the table is forgotten."""
        block, at, room = Block(), 0, MAX_LIST
        try:
            while at < len(data):
                found, at = self._next(data, at)
                if found is None:
                    continue
                room -= len(found[0]) + len(found[1])
                if room >= 0:
                    block.fields.append(found)
                else:
                    block.error = f"malformed: header list longer than {MAX_LIST} bytes"
        except (_Malformed, IndexError) as error:
            reason = str(error) if isinstance(error, _Malformed) else "it ends inside a field"
            block.error = f"malformed: header block: {reason}"
            self.forget()
        return block

    def _next(self, data: bytes, at: int) -> tuple[Field | None, int]:
        """Read one representation (RFC 7541 §6); IndexError behind the end."""
        first = data[at]
        if first & 0x80:
            index, at = _integer(data, at, 7)
            return self._entry(index), at
        if first & 0xE0 == 0x20:  # a new table size: see 3.
            _, at = _integer(data, at, 5)
            return None, at
        is_added = bool(first & 0x40)
        index, at = _integer(data, at, 6 if is_added else 4)
        name, at = (self._entry(index)[0], at) if index else _string(data, at)
        value, at = _string(data, at)
        if is_added:
            self._add((name, value))
        return (name, value), at

    def _entry(self, index: int) -> Field:
        static = _static_table()
        if index <= len(static):
            if index == 0:
                raise _Malformed("index 0")
            return static[index - 1]
        index -= len(static) + 1
        if index < len(self._entries):
            return self._entries[index]
        if self._is_complete:
            raise _Malformed(f"index {index + len(static) + 1} is not in the table")
        return UNKNOWN, UNKNOWN

    def _add(self, entry: Field) -> None:
        self._entries.appendleft(entry)
        self._size += len(entry[0]) + len(entry[1]) + ENTRY_OVERHEAD
        while self._size > MAX_TABLE:
            name, value = self._entries.pop()
            self._size -= len(name) + len(value) + ENTRY_OVERHEAD
            self._is_complete = False  # it may be asked for, if a larger table was agreed on


def _integer(data: bytes, at: int, bits: int) -> tuple[int, int]:
    """Read an integer with a prefix of so many bits (RFC 7541 §5.1)."""
    limit = (1 << bits) - 1
    value = data[at] & limit
    at += 1
    if value < limit:
        return value, at
    for shift in range(0, 7 * MAX_INTEGER_BYTES, 7):
        byte = data[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Malformed("an integer of more than 35 bits")


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """Read a string literal (RFC 7541 §5.2)."""
    is_coded = data[at] & 0x80
    length, at = _integer(data, at, 7)
    end = at + length
    if end > len(data):
        raise _Malformed("it ends inside a string")
    return (_unhuffman(data[at:end]) if is_coded else data[at:end]), end
