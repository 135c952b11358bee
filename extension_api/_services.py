"""What a plugin may ask its host for while a hook runs: the operations, and how requests and answers lie in bytes.

A plugin's process has neither network nor files. It asks the process that started it, which compares each request with
what the plugin was granted (docs/plugins/permissions.md). The specification is `SERVICES`; the SDKs are made from it.

    message   code u32, count u32, length u32 x count, then the parts without padding; little-endian
    request   code 0; parts: the operation's name, then its arguments
    answer    code Status; parts: the operation's results, or one text that says why not
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Literal

from msgspec import Struct

from kubeshark.extension_api._hookspecs import HOOKS

__all__ = [
    "MAX_MESSAGE",
    "MAX_PARTS",
    "SERVICES",
    "SERVICE_HOOKS",
    "SERVICE_HOOK_BITS",
    "MessageError",
    "Parameter",
    "Service",
    "Status",
    "pack",
    "unpack",
]

MAX_MESSAGE = 8 << 20
"""Bytes of a request or an answer; what is larger is refused."""

MAX_PARTS = 65_536
_WORD = 4

SERVICE_HOOKS = ("segment_sealed", "job", "configure", "start", "stop")
"""Hooks that may ask. The others are called once for each stream, entry or packet, and must depend on nothing else."""

SERVICE_HOOK_BITS = sum(1 << hook.number for hook in HOOKS if hook.name in SERVICE_HOOKS)


class Status(IntEnum):
    """Code of an answer."""

    OK = 0
    REFUSED = 1  # not granted, or not in this hook
    FAILED = 2  # the network, the server, the file system said no
    TOO_LATE = 3  # its deadline is over
    INVALID = 4  # the request makes no sense


class MessageError(Exception):
    """Bytes that are no message."""


class Parameter(Struct, frozen=True):
    name: str
    type: Literal["text", "bytes"]


class Service(Struct, frozen=True):
    """One operation. `returns`: nothing, one part of bytes, or rows of texts with these columns."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: Literal["nothing", "bytes", "entries", "response"]
    text: str


_PATH = Parameter("path", "text")
_DATA = Parameter("data", "bytes")

SERVICES: tuple[Service, ...] = (
    Service(
        "http",
        (
            Parameter("method", "text"),
            Parameter("url", "text"),
            Parameter("headers", "text"),
            Parameter("body", "bytes"),
        ),
        "response",
        "Ask a web server. Headers are lines `Name: value`. Redirects are followed to granted hosts only.",
    ),
    Service("file_read", (_PATH,), "bytes", "Return the bytes of a file."),
    Service("file_write", (_PATH, _DATA), "nothing", "Write a file; one that is there is replaced."),
    Service("file_append", (_PATH, _DATA), "nothing", "Add to the end of a file; made if it is not there."),
    Service("file_list", (_PATH,), "entries", "Return a folder's files and folders by name: name, kind, bytes."),
    Service("file_delete", (_PATH,), "nothing", "Delete a file, or a folder with all in it."),
    Service("file_make_folder", (_PATH,), "nothing", "Make a folder and those above it; one that is there is fine."),
    Service(
        "file_move", (Parameter("source", "text"), Parameter("target", "text")), "nothing", "Rename a file or folder."
    ),
)
"""`http` answers status, reason, the final URL, header lines, body; `file_list` three parts an entry."""


def pack(code: int, parts: Sequence[bytes | memoryview]) -> bytes:
    """Return a message."""
    return b"".join((struct.pack(f"<II{len(parts)}I", code, len(parts), *map(len, parts)), *parts))


def unpack(message: bytes | bytearray | memoryview) -> tuple[int, list[bytes]]:
    """Return code and parts of a message; MessageError unless it is exactly one."""
    view = memoryview(message)
    if len(view) < 2 * _WORD or len(view) > MAX_MESSAGE:
        raise MessageError(f"a message of {len(view):,} bytes")
    code, count = struct.unpack_from("<II", view)
    start = 2 * _WORD + count * _WORD
    if count > MAX_PARTS or start > len(view):
        raise MessageError(f"a message of {count:,} parts in {len(view):,} bytes")
    lengths = struct.unpack_from(f"<{count}I", view, 2 * _WORD)
    if start + sum(lengths) != len(view):
        raise MessageError("the parts do not make up the message")
    parts = []
    for length in lengths:
        parts.append(bytes(view[start : start + length]))
        start += length
    return code, parts
