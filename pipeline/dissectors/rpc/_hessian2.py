"""Reads Hessian 2.0 values (http://hessian.caucho.com/doc/hessian-serialization.html), as Dubbo sends them.

Objects and typed maps become dicts; a reference to an earlier value is shown as "<reference n>", so that a value that
contains itself has an end. Depth, elements and lengths are bounded.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

import msgspec

from kubeshark.pipeline.dissectors.web._http_body import text_or_base64

__all__ = ["Hessian2", "Malformed"]

MAX_DEPTH = 32
MAX_ITEMS = 50_000
MAX_FIELDS = 1_000

_INT16, _INT32, _INT64, _DOUBLE = Struct(">h"), Struct(">i"), Struct(">q"), Struct(">d")
_UINT16 = Struct(">H")
END = 0x5A  # 'Z'


class Malformed(ValueError):
    """Bytes that are no Hessian value, or that end inside one."""


class Hessian2(msgspec.Struct):
    """Reads one value after the other from data[at:]; raises Malformed."""

    data: bytes
    at: int = 0
    items: int = 0
    types: list[str] = msgspec.field(default_factory=list)
    classes: list[tuple[str, list[str]]] = msgspec.field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return self.at >= len(self.data)

    def value(self, depth: int = 0) -> Any:
        """Return the next value."""
        self.items += 1
        if depth > MAX_DEPTH or self.items > MAX_ITEMS:
            raise Malformed(f"too deep or too many values at {self.at}")
        tag = self._byte()
        while tag == 0x43:  # 'C': a class definition precedes its first object
            self._define()
            tag = self._byte()
        if tag in _CONSTANTS:
            return _CONSTANTS[tag]
        if tag < 0x20 or 0x30 <= tag < 0x34 or tag in (0x52, 0x53):
            return self._string(tag)
        if tag in (0x49, 0x4C, 0x59) or 0x38 <= tag < 0x40 or tag >= 0x80:
            return self._integer(tag)
        if tag < 0x30 or 0x34 <= tag < 0x38 or tag in (0x41, 0x42):
            shown, encoding = text_or_base64(self._binary(tag))
            return f"base64:{shown}" if encoding else shown
        if tag in (0x44, 0x5D, 0x5E, 0x5F):
            return self._double(tag)
        if tag == 0x4A:  # milliseconds since 1970
            return {"date": self._number(_INT64)}
        if tag == 0x4B:  # minutes
            return {"date": self._number(_INT32) * 60_000}
        if tag == 0x51:
            return f"<reference {self.value(depth + 1)}>"
        if tag in (0x48, 0x4D):
            return self._map(tag, depth)
        if 0x60 <= tag < 0x70 or tag == 0x4F:
            return self._object(tag, depth)
        if 0x70 <= tag < 0x80 or 0x55 <= tag < 0x59:
            return self._list(tag, depth)
        raise Malformed(f"tag {tag:#04x} at {self.at - 1}")

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
        if self.at >= len(self.data):
            raise Malformed(f"ends at {self.at}")
        self.at += 1
        return self.data[self.at - 1]

    def _number(self, form: Struct) -> Any:
        return form.unpack(self._take(form.size))[0]

    def _string(self, tag: int) -> str:
        pieces = []
        while tag == 0x52:  # 'R': a chunk that is not the last
            pieces.append(self._characters(self._number(_UINT16)))
            tag = self._byte()
        if tag == 0x53:
            count = self._number(_UINT16)
        elif 0x30 <= tag < 0x34:
            count = (tag - 0x30) << 8 | self._byte()
        elif tag < 0x20:
            count = tag
        else:
            raise Malformed(f"tag {tag:#04x} in a string at {self.at - 1}")
        pieces.append(self._characters(count))
        return "".join(pieces)

    def _characters(self, count: int) -> str:
        """Read a string by its count of UTF-16 units: characters beyond U+FFFF count twice.

        Java's own encoding writes each half of those as three bytes; both forms are read.
        """
        start, at, data = self.at, self.at, self.data
        piece = data[start : start + count]
        if len(piece) == count and piece.isascii():
            self.at += count
            return piece.decode("ascii")
        while count > 0:
            if at >= len(data):
                raise Malformed(f"string ends early at {at}")
            first = data[at]
            at += 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
            count -= 2 if first >= 0xF0 else 1
        self._take(at - start)
        try:
            units = data[start:at].decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return data[start:at].decode("utf-8", "replace")
        return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _binary(self, tag: int) -> bytes:
        pieces = []
        while tag == 0x41:  # 'A': a chunk that is not the last
            pieces.append(self._take(self._number(_UINT16)))
            tag = self._byte()
        if tag == 0x42:
            count = self._number(_UINT16)
        elif 0x34 <= tag < 0x38:
            count = (tag - 0x34) << 8 | self._byte()
        elif 0x20 <= tag < 0x30:
            count = tag - 0x20
        else:
            raise Malformed(f"tag {tag:#04x} in binary data at {self.at - 1}")
        pieces.append(self._take(count))
        return b"".join(pieces)

    def _integer(self, tag: int) -> int:
        """Read an int or a long: on the wire they differ, in Python not."""
        if tag in (0x49, 0x59):
            return int(self._number(_INT32))
        if tag == 0x4C:
            return int(self._number(_INT64))
        for low, high, zero, more in _PACKED:
            if low <= tag < high:
                return (tag - zero) << 8 * more | int.from_bytes(self._take(more), "big")
        raise Malformed(f"tag {tag:#04x} at {self.at - 1}")

    def _double(self, tag: int) -> float:
        if tag == 0x44:
            return float(self._number(_DOUBLE))
        if tag == 0x5D:
            byte = self._byte()
            return float(byte - 256 if byte > 127 else byte)
        return float(self._number(_INT16)) if tag == 0x5E else self._number(_INT32) / 1000

    def _type(self) -> str:
        """Read the name of a type: a string, or the number of one read before."""
        name = self.value(MAX_DEPTH)
        if isinstance(name, int):
            return self.types[name] if 0 <= name < len(self.types) else ""
        self.types.append(str(name))
        return str(name)

    def _define(self) -> None:
        name, count = self.value(MAX_DEPTH), self.value(MAX_DEPTH)
        if not isinstance(count, int) or not 0 <= count <= MAX_FIELDS or len(self.classes) >= MAX_FIELDS:
            raise Malformed(f"a class of {count} fields")
        self.classes.append((str(name), [str(self.value(MAX_DEPTH)) for _ in range(count)]))

    def _object(self, tag: int, depth: int) -> dict[str, Any]:
        number = self.value(depth + 1) if tag == 0x4F else tag - 0x60
        if not isinstance(number, int) or not 0 <= number < len(self.classes):
            raise Malformed(f"class {number} is not defined at {self.at}")
        name, fields = self.classes[number]
        return {"class": name, **{each: self.value(depth + 1) for each in fields}}

    def _map(self, tag: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {"class": self._type()} if tag == 0x4D else {}
        while not self._ends():
            key = self.value(depth + 1)
            found[str(key)] = self.value(depth + 1)
        return found

    def _list(self, tag: int, depth: int) -> list[Any]:
        if tag in (0x55, 0x56) or 0x70 <= tag < 0x78:
            self._type()
        if tag in (0x55, 0x57):
            found = []
            while not self._ends():
                found.append(self.value(depth + 1))
            return found
        count = self.value(depth + 1) if tag in (0x56, 0x58) else tag & 7
        if not isinstance(count, int) or not 0 <= count <= len(self.data) - self.at:
            raise Malformed(f"a list of {count} at {self.at}")
        return [self.value(depth + 1) for _ in range(count)]

    def _ends(self) -> bool:
        if self.at < len(self.data) and self.data[self.at] == END:
            self.at += 1
            return True
        return False


_CONSTANTS: dict[int, Any] = {0x46: False, 0x54: True, 0x4E: None, 0x5B: 0.0, 0x5C: 1.0}
_PACKED = (  # first and last tag, the tag of zero, bytes that follow
    (0x80, 0xC0, 0x90, 0),
    (0xC0, 0xD0, 0xC8, 1),
    (0xD0, 0xD8, 0xD4, 2),
    (0xD8, 0xF0, 0xE0, 0),
    (0xF0, 0x100, 0xF8, 1),
    (0x38, 0x40, 0x3C, 2),
)
