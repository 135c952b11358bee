"""Reads Kafka bodies by declared schemas: one notation for all APIs, one reader for all versions.

The notation, one API after the other:

    KEY NAME MIN-MAX [flexible VERSION]
    > fields of the request
    < fields of the response

    field      name:type [versions] [#tag]          versions: 3+ | 0-12 | 4; absent: all
    type       i8 i16 i32 i64 u16 u32 f64 bool str bytes uuid records
               | [type] an array | {fields} a struct | {fields}? a struct that may be null | (fields) a group
    besides    topic: a str that names a topic; topicid: its uuid; error: an i16 error code; secret: bytes never shown;
               subscription, assignment: bytes of the consumer protocol

Any str, bytes or array may be null; a group shows fields under one name but has no bytes of its own. From its
flexible version on an API has compact lengths and tagged fields (KIP-482).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from functools import cache
from struct import Struct
from typing import Any

import msgspec

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.messaging._kafka_apis_0 import APIS as FIRST_APIS
from kubeshark.pipeline.dissectors.messaging._kafka_apis_35 import APIS as LAST_APIS
from kubeshark.pipeline.dissectors.messaging._kafka_cursor import INT8, INT16, INT32, INT64, Cursor, Malformed
from kubeshark.pipeline.dissectors.web._http_body import text_or_base64

__all__ = ["REDACTED", "Api", "Field", "api_of", "parse_fields", "read_body"]

REDACTED = "[redacted]"
SECRET_NAME = re.compile(r"password|secret|jaas|credential|token", re.IGNORECASE)
"""Settings whose value is a secret, e.g. `ssl.keystore.password`, `sasl.jaas.config`."""

_UINT16, _UINT32, _FLOAT64 = Struct(">H"), Struct(">I"), Struct(">d")


Scalar = Callable[[Cursor, bool], Any]
"""Reads one value; the flag says that lengths are compact."""
Filler = Callable[[Cursor, dict[str, Any]], None]
"""Reads a structure into a dict, so that damage keeps what came before it."""


def _of(form: Struct) -> Scalar:
    return lambda cursor, _compact: cursor.number(form)


def _bool(cursor: Cursor, _compact: bool) -> bool:
    return bool(cursor.number(INT8))


def _uuid(cursor: Cursor, _compact: bool) -> str:
    """Read an id as Kafka's own tools show it: 22 characters of base64."""
    return base64.urlsafe_b64encode(cursor.take(16)).decode("ascii").rstrip("=")


def _str(cursor: Cursor, compact: bool) -> str | None:
    count = cursor.count(compact=compact, form=INT16)
    return None if count < 0 else text(cursor.take(count))


def _raw(cursor: Cursor, compact: bool) -> bytes | None:
    count = cursor.count(compact=compact)
    return None if count < 0 else cursor.take(count)


def _bytes(cursor: Cursor, compact: bool) -> str | None:
    data = _raw(cursor, compact)
    return None if data is None else text_or_base64(data)[0]


def _secret(cursor: Cursor, compact: bool) -> str | None:
    return REDACTED if _raw(cursor, compact) else None


def _topic(cursor: Cursor, compact: bool) -> str | None:
    name = _str(cursor, compact)
    if name:
        cursor.topics[name] = None
    return name


def _topic_id(cursor: Cursor, compact: bool) -> str:
    name = _uuid(cursor, compact)
    if name != NO_UUID:
        cursor.topic_ids[name] = None
    return name


def _error(cursor: Cursor, _compact: bool) -> int:
    code = int(cursor.number(INT16))
    cursor.error = cursor.error or code
    return code


def _records(cursor: Cursor, compact: bool) -> Any:
    data = _raw(cursor, compact)
    if data is None or cursor.records is None:
        return None
    return cursor.records(data)


def _consumer_protocol(name: str) -> Scalar:
    def read(cursor: Cursor, compact: bool) -> Any:
        """Read bytes that a consumer group gives meaning to (KIP-54); other kinds of groups have other bytes there."""
        data = _raw(cursor, compact)
        if not data:
            return None
        inner = Cursor(data, 0, len(data), items=cursor.items)
        found: dict[str, Any] = {}
        try:
            version = found["version"] = inner.number(INT16)
            fill = _consumer_schema(name, min(version, 3)) if version >= 0 else None
            if fill is None:
                return text_or_base64(data)[0]
            fill(inner, found)
        except Malformed:
            return text_or_base64(data)[0]
        cursor.items = inner.items
        cursor.topics.update(inner.topics)
        return found

    return read


NO_UUID = "A" * 22

_SCALARS: dict[str, Scalar] = {
    "i8": _of(INT8),
    "i16": _of(INT16),
    "i32": _of(INT32),
    "i64": _of(INT64),
    "u16": _of(_UINT16),
    "u32": _of(_UINT32),
    "f64": _of(_FLOAT64),
    "bool": _bool,
    "str": _str,
    "bytes": _bytes,
    "uuid": _uuid,
    "records": _records,
    "topic": _topic,
    "topicid": _topic_id,
    "error": _error,
    "secret": _secret,
    "subscription": _consumer_protocol("subscription"),
    "assignment": _consumer_protocol("assignment"),
}

_CONSUMER = {
    "subscription": "topics:[topic], userData:bytes, ownedPartitions:[{topic:topic, partitions:[i32]}] 1+,"
    " generationId:i32 2+, rackId:str 3+",
    "assignment": "assignedPartitions:[{topic:topic, partitions:[i32]}], userData:bytes",
}


class Type(msgspec.Struct, frozen=True):
    name: str  # of a scalar; "[" an array, "{" a struct, "(" a group
    fields: tuple[Field, ...] = ()
    element: Type | None = None
    nullable: bool = False


class Field(msgspec.Struct, frozen=True):
    name: str
    type: Type
    since: int = 0
    until: int = 1 << 15
    tag: int = -1


class Api(msgspec.Struct, frozen=True):
    """One API: its key, its name (`ListOffsets`), its versions, and its bodies' fields."""

    key: int
    name: str
    oldest: int
    newest: int
    flexible: int  # first flexible version; beyond `newest` if there is none
    request: str
    response: str

    def is_flexible(self, version: int) -> bool:
        return version >= self.flexible

    def knows(self, version: int) -> bool:
        return self.oldest <= version <= self.newest


_HEAD = re.compile(r"^(\d+) (\w+) (\d+)-(\d+)(?: flexible (\d+))?\n> ?([^<]*)\n< ?(.*(?:\n .*)*)", re.MULTILINE)


@cache
def _apis() -> dict[int, Api]:
    return {
        int(key): Api(int(key), name, int(oldest), int(newest), int(flexible or 1 << 15), request, response)
        for listed in (FIRST_APIS, LAST_APIS)
        for key, name, oldest, newest, flexible, request, response in _HEAD.findall(listed)
    }


def api_of(key: int) -> Api | None:
    return _apis().get(key)


_TOKEN = re.compile(r"[A-Za-z]\w*|\d+(?:-\d+|\+)?|[:{}\[\]()?,#]")


def parse_fields(listed: str) -> tuple[Field, ...]:
    """Return what the notation declares; our own tables are trusted to be well formed."""
    symbols: list[str] = [*_TOKEN.findall(listed), ""]
    position = 0

    def take(expected: str = "") -> str:
        nonlocal position
        symbol = symbols[position]
        assert not expected or symbol == expected, (expected, symbols[position - 3 : position + 3])
        position += 1
        return symbol

    def parse_list(closing: str) -> Iterator[Field]:
        while symbols[position] != closing:
            name = take()
            take(":")
            kind, since, until, tag = parse_type(), 0, 1 << 15, -1
            if symbols[position][:1].isdigit():
                low, dash, high = take().partition("-")
                since = int(low.rstrip("+"))
                until = until if low.endswith("+") else int(high if dash else low)
            if symbols[position] == "#":
                take()
                tag = int(take())
            if symbols[position] == ",":
                take()
            yield Field(name, kind, since, until, tag)
        take()

    def parse_type() -> Type:
        symbol = take()
        if symbol == "[":
            element = parse_type()
            take("]")
            return Type("[", element=element)
        if symbol in ("{", "("):
            fields = tuple(parse_list("}" if symbol == "{" else ")"))
            nullable = symbols[position] == "?"
            if nullable:
                take()
            return Type(symbol, fields, nullable=nullable)
        assert symbol in _SCALARS, symbol
        return Type(symbol)

    return tuple(parse_list(""))


@cache
def _schema(key: int, version: int, is_response: bool) -> Filler:
    """Return the reader of the body of a known version."""
    api = _apis()[key]
    fields = parse_fields(api.response if is_response else api.request)
    return _struct(fields, version, api.is_flexible(version), has_tags=True)


@cache
def _consumer_schema(name: str, version: int) -> Filler:
    return _struct(parse_fields(_CONSUMER[name]), version, flexible=False, has_tags=False)


def _struct(fields: tuple[Field, ...], version: int, flexible: bool, *, has_tags: bool) -> Filler:
    present = [field for field in fields if field.since <= version <= field.until]
    plain = [_reader(field, version, flexible) for field in present if field.tag < 0]
    tagged = {field.tag: _reader(field, version, flexible) for field in present if field.tag >= 0}

    def fill(cursor: Cursor, into: dict[str, Any]) -> None:
        for read in plain:
            read(cursor, into)
        if flexible and has_tags:
            _read_tags(cursor, into, tagged)
        if isinstance(into.get("value"), str) and SECRET_NAME.search(str(into.get("name"))):
            into["value"] = REDACTED

    return fill


def _read_tags(cursor: Cursor, into: dict[str, Any], tagged: dict[int, Filler]) -> None:
    """Read tagged fields (KIP-482); unknown ones are skipped."""
    for _ in range(cursor.uvarint()):
        cursor.item()
        tag, size = cursor.uvarint(), cursor.uvarint()
        end = cursor.at + size
        if end > cursor.end:
            raise Malformed(f"tagged field of {size} bytes at {cursor.at}, {cursor.end - cursor.at} left")
        if tag in tagged:
            outer, cursor.end = cursor.end, end
            try:
                tagged[tag](cursor, into)
            finally:
                cursor.end = outer
        cursor.at = end


def _reader(field: Field, version: int, flexible: bool) -> Filler:
    """Return what reads one field into a dict under its name."""
    name, kind = field.name, field.type
    if kind.name == "[":
        assert kind.element is not None
        return _array(name, kind.element, version, flexible)
    if kind.name in _SCALARS:
        scalar = _SCALARS[kind.name]

        def read(cursor: Cursor, into: dict[str, Any]) -> None:
            into[name] = scalar(cursor, flexible)

        return read
    fill = _struct(kind.fields, version, flexible, has_tags=kind.name == "{")
    nullable = kind.nullable

    def nest(cursor: Cursor, into: dict[str, Any]) -> None:
        if nullable and cursor.number(INT8) < 0:
            into[name] = None
            return
        inner = into[name] = {}
        fill(cursor, inner)

    return nest


def _array(name: str, element: Type, version: int, flexible: bool) -> Filler:
    scalar = _SCALARS.get(element.name)
    fill = None if scalar else _struct(element.fields, version, flexible, has_tags=True)

    def read(cursor: Cursor, into: dict[str, Any]) -> None:
        count = cursor.count(compact=flexible)
        if count > cursor.end - cursor.at:  # every element has a byte at least
            into[name] = None
            raise Malformed(f"{count} elements at {cursor.at}, {cursor.end - cursor.at} bytes left")
        items: list[Any] | None = [] if count >= 0 else None
        into[name] = items
        if items is None:
            return
        for _ in range(count):
            cursor.item()
            if fill is None:
                assert scalar is not None
                items.append(scalar(cursor, flexible))
            else:
                item: dict[str, Any] = {}
                items.append(item)
                fill(cursor, item)

    return read


def read_body(cursor: Cursor, key: int, version: int, into: dict[str, Any], *, is_response: bool) -> bool:
    """Read a body into a dict; say whether its schema is known.

    Raise Malformed where bytes and schema disagree; `into` holds what came before.
    """
    api = api_of(key)
    if api is None or not api.knows(version):  # never cached: a stream can name any version
        return False
    _schema(key, version, is_response)(cursor, into)
    return True
