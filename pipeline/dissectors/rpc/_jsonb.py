"""Reads fastjson2's binary JSON as Dubbo sends it: each value behind its length in four bytes.

The format: https://github.com/alibaba/fastjson2/wiki/jsonb_format_cn. Names of fields and types are written once and
numbered; a reference to an earlier value is shown as its path. Depth, elements and lengths are bounded.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

import msgspec

from kubeshark.pipeline.dissectors.rpc._hessian2 import Malformed
from kubeshark.pipeline.dissectors.web._http_body import text_or_base64

__all__ = ["Jsonb"]

MAX_DEPTH = 32
MAX_ITEMS = 50_000

CHAR, BINARY, TYPED, REFERENCE, ARRAY_0, ARRAY, OBJECT_END, OBJECT = 0x90, 0x91, 0x92, 0x93, 0x94, 0xA4, 0xA5, 0xA6
LOCAL_TIME, LOCAL_DATE_TIME, LOCAL_DATE, ZONED, INSTANT = 0xA7, 0xA8, 0xA9, 0xAA, 0xAE
STRING_0, ASCII, SYMBOL = 0x49, 0x79, 0x7F
ENCODINGS = {0x79: "latin-1", 0x7A: "utf-8", 0x7B: "utf-16", 0x7C: "utf-16-le", 0x7D: "utf-16-be", 0x7E: "gb18030"}
DOUBLE_LONG, FLOAT_INT, DECIMAL_LONG, DECIMAL, BIG_LONG, BIG = 0xB4, 0xB6, 0xB8, 0xB9, 0xBA, 0xBB
INT32 = 0x48

_CONSTANTS: dict[int, Any] = {0xAF: None, 0xB0: False, 0xB1: True, 0xB2: 0.0, 0xB3: 1.0}
_FIXED = {
    INT32: Struct(">i"),
    0xB5: Struct(">d"),
    0xB7: Struct(">f"),
    0xBC: Struct(">h"),
    0xBD: Struct(">b"),
    0xBE: Struct(">q"),
    0xBF: Struct(">i"),
}
_MOMENTS = {0xAB: ("q", 1), 0xAC: ("I", 1_000), 0xAD: ("I", 60_000)}  # → milliseconds
_PACKED = (  # first and last tag, the tag of zero, bytes that follow
    (0x00, 0x30, 0x00, 0),
    (0xF0, 0x100, 0x100, 0),
    (0x30, 0x40, 0x38, 1),
    (0x40, 0x48, 0x44, 2),
    (0xD8, 0xF0, 0xE0, 0),
    (0xC8, 0xD8, 0xD0, 1),
    (0xC0, 0xC8, 0xC4, 2),
)


class Jsonb(msgspec.Struct):
    """Reads one value after the other from data[at:]; raises Malformed."""

    data: bytes
    at: int = 0
    items: int = 0
    symbols: dict[int, str] = msgspec.field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return self.at >= len(self.data)

    def value(self) -> Any:
        """Return the next value; names are numbered anew in each."""
        size = int.from_bytes(self._take(4), "big")
        if size > len(self.data) - self.at:
            raise Malformed(f"a value of {size} bytes at {self.at}, {len(self.data) - self.at} left")
        end = self.at + size
        self.symbols = {}
        found = self._any(0)
        self.at = end
        return found

    def text(self) -> str:
        """Return the next value as a text: strings and numbers as they are, "" for null."""
        value = self.value()
        return "" if value is None else str(value)

    def _take(self, count: int) -> bytes:
        start = self.at
        if not 0 <= count <= len(self.data) - start:
            raise Malformed(f"{count} bytes expected at {start}, {len(self.data) - start} left")
        self.at = start + count
        return self.data[start : self.at]

    def _byte(self) -> int:
        return self._take(1)[0]

    def _integer(self, tag: int) -> int:
        for low, high, zero, more in _PACKED:
            if low <= tag < high:
                return (tag - zero) << 8 * more | int.from_bytes(self._take(more), "big")
        if tag != INT32:
            raise Malformed(f"tag {tag:#04x} where a number is expected at {self.at - 1}")
        return int.from_bytes(self._take(4), "big", signed=True)

    def _length(self) -> int:
        return self._integer(self._byte())

    def _string(self, tag: int) -> str:
        if STRING_0 <= tag < ASCII:
            return self._take(tag - STRING_0).decode("latin-1")
        if tag not in ENCODINGS:
            raise Malformed(f"tag {tag:#04x} where a text is expected at {self.at - 1}")
        return self._take(self._length()).decode(ENCODINGS[tag], "replace")

    def _named(self, tag: int) -> str:
        """Read a name and its number, or only the number of one that was there before."""
        if tag < STRING_0 or tag >= 0xF0:
            number = self._integer(tag)
            return self.symbols.get(abs(number), f"<name {number}>")
        name = self._string(tag)
        if len(self.symbols) < MAX_ITEMS:
            self.symbols[abs(self._length())] = name
        return name

    def _any(self, depth: int) -> Any:
        self.items += 1
        if depth > MAX_DEPTH or self.items > MAX_ITEMS:
            raise Malformed(f"too deep or too many values at {self.at}")
        tag = self._byte()
        if tag in _CONSTANTS:
            return _CONSTANTS[tag]
        if tag in _FIXED:
            form = _FIXED[tag]
            return form.unpack(self._take(form.size))[0]
        if STRING_0 <= tag < SYMBOL:
            return self._string(tag)
        if tag == SYMBOL:
            return self._named(self._byte())
        if tag == OBJECT:
            return self._object(depth)
        if ARRAY_0 <= tag <= ARRAY:
            return self._array(self._length() if tag == ARRAY else tag - ARRAY_0, depth)
        if tag == TYPED:
            name, value = self._named(self._byte()), self._any(depth + 1)
            return {"class": name, **value} if isinstance(value, dict) else value
        if tag == REFERENCE:
            return f"<reference {self._string(self._byte())}>"
        if tag == BINARY:
            shown, encoding = text_or_base64(self._take(self._length()))
            return f"base64:{shown}" if encoding else shown
        if tag in _MOMENTS:
            code, factor = _MOMENTS[tag]
            size = Struct(f">{code}")
            return {"date": size.unpack(self._take(size.size))[0] * factor}
        if tag == INSTANT:
            seconds = self._any(MAX_DEPTH)
            if not isinstance(seconds, int):
                raise Malformed(f"a moment of {seconds!r:.40} seconds")
            return {"date": seconds * 1_000 + self._length() // 1_000_000}
        return self._rare(tag)

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while True:
            tag = self._byte()
            if tag == OBJECT_END:
                return found
            self.at -= 1
            name = str(self._any(depth + 1))
            found[name] = self._any(depth + 1)

    def _array(self, count: int, depth: int) -> list[Any]:
        if not 0 <= count <= len(self.data) - self.at:
            raise Malformed(f"{count} elements at {self.at}")
        return [self._any(depth + 1) for _ in range(count)]

    def _rare(self, tag: int) -> Any:
        """Read what few interfaces have: times of the day, decimals, large numbers."""
        if tag == CHAR:
            return chr(max(self._length(), 0) & 0xFFFF)
        if tag in (DOUBLE_LONG, FLOAT_INT):
            return float(self._length())
        if tag in (DECIMAL_LONG, BIG_LONG):
            return self._length() if self.data[self.at : self.at + 1] != b"\xbe" else self._any(MAX_DEPTH)
        if tag == BIG:
            return str(int.from_bytes(self._take(min(self._length(), 1 << 10)), "big", signed=True))
        if tag == DECIMAL:
            scale, unscaled = self._length(), self._any(MAX_DEPTH)
            return f"{unscaled}e{-scale}"
        if tag == LOCAL_DATE:
            year, month, day = Struct(">HBB").unpack(self._take(4))
            return f"{year:04}-{month:02}-{day:02}"
        if tag == LOCAL_TIME:
            hour, minute, second = self._take(3)
            self._length()
            return f"{hour:02}:{minute:02}:{second:02}"
        if tag == LOCAL_DATE_TIME:
            year, month, day, hour, minute, second = Struct(">H5B").unpack(self._take(7))
            self._length()
            return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        if tag == ZONED:
            year, month, day, hour, minute, second = Struct(">H5B").unpack(self._take(7))
            self._length()
            return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02} {self._any(MAX_DEPTH)}"
        return self._integer(tag)
