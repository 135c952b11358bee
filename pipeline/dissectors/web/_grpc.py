"""gRPC inside HTTP bodies: message framing, and protobuf shown without its schema.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and PROTOCOL-WEB.md; wire format:
https://protobuf.dev/programming-guides/encoding/. A length-delimited field may be text, bytes or a message: the bytes
do not say. Printable text wins, then what parses as a message to its last byte.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from kubeshark.pipeline.dissectors.web._http_body import decode_body

__all__ = [
    "MAX_MESSAGES",
    "is_grpc",
    "message_ends",
    "read_messages",
    "service_and_method",
    "status_code",
    "status_text",
    "web_trailers",
]

MAX_MESSAGES = 100
"""Messages shown of one call and direction; a stream may have millions."""
MAX_FIELDS = 2000
"""Protobuf fields shown of one call and direction."""
MAX_DEPTH = 12
MAX_SHOWN = 4096
"""Bytes of one value that are shown."""
PREFIX = 5  # compressed flag, length
WEB_TRAILERS = 0x80  # gRPC-Web: a frame of trailers instead of a message
VARINT, I64, LEN, START_GROUP, END_GROUP, I32 = range(6)
CODINGS = {"gzip": "gzip", "deflate": "deflate", "zstd": "zstd"}


def is_grpc(media: str) -> bool:
    """Say whether a Content-Type is one of gRPC's (application/grpc, +proto, -web, -web-text …)."""
    return media.startswith("application/grpc")


def service_and_method(path: str) -> tuple[str, str]:
    """Split "/demo.Greeter/SayHello"; ("", "") for a path that is no method's."""
    service, slash, method = path.removeprefix("/").rpartition("/")
    return (service, method) if slash else ("", "")


def status_code(status: str) -> int:
    """Read grpc-status; no status is 0, as kfl.md has it."""
    return int(status) if status.isdecimal() and len(status) < 10 else 0


def status_text(message: str) -> str:
    """Undo the percent-encoding of grpc-message."""
    return unquote(message)


def read_messages(body: bytes, coding: str, media: str = "") -> list[dict[str, Any]]:
    """Return the messages of a body as {compressed, length, fields, …}, at most MAX_MESSAGES."""
    budget = _Budget(MAX_FIELDS)
    messages: list[dict[str, Any]] = []
    is_protobuf = not media.rpartition("+")[1] or media.endswith(("+proto", "+proto;"))
    for flag, length, data in _frames(_web_text(body, media)):
        if flag & WEB_TRAILERS:
            continue
        shown: dict[str, Any] = {"compressed": bool(flag & 1), "length": length}
        if flag & 1:
            decoded = decode_body(data, CODINGS.get(coding, coding))
            data = decoded.data
            if decoded.comment:
                shown["comment"] = decoded.comment
        if len(data) < length and not flag & 1:
            shown["truncated"] = True
        fields = _read_fields(data, 0, budget) if is_protobuf else None
        if fields is None:
            shown["data"] = _text(data[:MAX_SHOWN]) or base64.b64encode(data[:MAX_SHOWN]).decode("ascii")
        else:
            shown["fields"] = fields
        messages.append(shown)
        if len(messages) == MAX_MESSAGES:
            break
    return messages


def message_ends(body: bytes) -> list[tuple[int, str]]:
    """Return (end in the body, label) of each whole message, at most MAX_MESSAGES."""
    found, end = list[tuple[int, str]](), 0
    for flag, length, data in _frames(body):
        end += PREFIX + length
        if not flag & WEB_TRAILERS and len(data) == length and len(found) < MAX_MESSAGES:
            found.append((end, f"message {len(found) + 1}, {length} bytes"))
    return found


def web_trailers(body: bytes, media: str) -> dict[str, str]:
    """Return the trailers that gRPC-Web puts at the end of a body, names in lower case."""
    for flag, _, data in _frames(_web_text(body, media)):
        if flag & WEB_TRAILERS:
            lines = data.decode("latin-1").split("\r\n")[:100]
            pairs = (line.partition(":") for line in lines if line)
            return {name.strip().lower(): value.strip() for name, _, value in pairs}
    return {}


def _web_text(body: bytes, media: str) -> bytes:
    """Undo application/grpc-web-text: base64, padded wherever the sender flushed."""
    if not media.startswith("application/grpc-web-text"):
        return body
    result = bytearray()
    for part in body.replace(b"=", b"= ").split():
        group = part.rstrip(b"=")
        try:
            result += base64.b64decode(group + b"=" * (-len(group) % 4))
        except binascii.Error:
            break
    return bytes(result)


def _frames(body: bytes) -> list[tuple[int, int, bytes]]:
    """Return (flag, length, data) of the length-prefixed messages; the last may be cut."""
    at, frames = 0, list[tuple[int, int, bytes]]()
    while at + PREFIX <= len(body) and len(frames) <= MAX_MESSAGES * 10:
        flag, length = body[at], int.from_bytes(body[at + 1 : at + PREFIX], "big")
        if flag not in (0, 1, WEB_TRAILERS, WEB_TRAILERS | 1):
            break
        frames.append((flag, length, body[at + PREFIX : at + PREFIX + length]))
        at += PREFIX + length
    return frames


class _Budget(Struct):
    left: int


def _read_fields(data: bytes, depth: int, budget: _Budget) -> list[dict[str, Any]] | None:
    """Return the fields of a protobuf message; None if these bytes are none, or too deep."""
    fields: list[dict[str, Any]] = []
    at = 0
    while at < len(data):
        if budget.left <= 0:
            break
        budget.left -= 1
        found = _read_field(data, at, depth, budget)
        if found is None:
            return None
        shown, at = found
        fields.append(shown)
    return fields


def _read_field(data: bytes, at: int, depth: int, budget: _Budget) -> tuple[dict[str, Any], int] | None:
    tag = _varint(data, at)
    if tag is None:
        return None
    (key, at), number, wire = tag, tag[0] >> 3, tag[0] & 7
    if not 0 < number < 1 << 29 or key >= 1 << 32:
        return None
    if wire == VARINT:
        value = _varint(data, at)
        return ({"number": number, "type": "varint", "value": value[0]}, value[1]) if value else None
    if wire in (I64, I32):
        size = 8 if wire == I64 else 4
        if at + size > len(data):
            return None
        number_value = int.from_bytes(data[at : at + size], "little")
        return {"number": number, "type": f"fixed{8 * size}", "value": number_value}, at + size
    if wire != LEN:
        return None  # groups were deprecated before gRPC
    length = _varint(data, at)
    if length is None or length[1] + length[0] > len(data):
        return None
    start, end = length[1], length[1] + length[0]
    return {"number": number, **_delimited(data[start:end], depth, budget)}, end


def _delimited(data: bytes, depth: int, budget: _Budget) -> dict[str, Any]:
    shown = _text(data[:MAX_SHOWN])
    if shown is not None:
        return {"type": "text", "value": shown}
    left = budget.left
    if depth < MAX_DEPTH and (fields := _read_fields(data, depth + 1, budget)) is not None:
        return {"type": "message", "fields": fields}
    budget.left = min(left, max(0, budget.left))  # what a wrong guess looked at is work done
    return {"type": "bytes", "value": base64.b64encode(data[:MAX_SHOWN]).decode("ascii")}


def _varint(data: bytes, at: int) -> tuple[int, int] | None:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            return None
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    return None


def _text(data: bytes) -> str | None:
    """Return text whose characters can all be printed; a character cut at MAX_SHOWN is left out."""
    for end in range(len(data), max(len(data) - 4, -1), -1) if len(data) == MAX_SHOWN else (len(data),):
        try:
            text = data[:end].decode()
        except UnicodeDecodeError:
            continue
        return text if all(character.isprintable() or character in "\n\r\t" for character in text) else None
    return None
