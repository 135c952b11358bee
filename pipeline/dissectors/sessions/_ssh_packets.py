"""SSH before it is encrypted: identification lines and key exchange packets (RFC 4253 §4.2, §6, §7)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator

from msgspec import Struct

__all__ = [
    "KEXINIT",
    "NEWKEYS",
    "Identification",
    "KexInit",
    "Packet",
    "fingerprint",
    "identification",
    "packets",
    "read_kexinit",
]

MAX_PREFACE = 8 << 10  # bytes of lines a server may send before its identification
MAX_PACKET = 256 << 10  # bytes; RFC 4253 §6.1 asks for 35,000
MAX_PACKETS = 32  # of one side before the keys change

KEXINIT, NEWKEYS = 20, 21
_IDENTIFICATION = re.compile(rb"(?:\A|\n)SSH-([0-9]\.[0-9]{1,2})-([^\r\n ]{0,200})(?: ([^\r\n]{0,200}))?\r?\n")
_LISTS = (
    "kex",
    "host_key",
    "cipher_to_server",
    "cipher_to_client",
    "mac_to_server",
    "mac_to_client",
    "compression_to_server",
    "compression_to_client",
    "language_to_server",
    "language_to_client",
)


class Identification(Struct):
    start: int
    end: int
    version: str
    software: str
    comment: str


class Packet(Struct):
    """A packet in clear; offsets are those of the side's data. `is_whole`: all of it is there."""

    start: int
    end: int
    number: int  # of the message
    payload: bytes  # behind the number
    is_whole: bool


def identification(data: bytes) -> Identification | None:
    """Find the identification line among what a side sent first."""
    found = _IDENTIFICATION.search(data, 0, MAX_PREFACE)
    if found is None:
        return None
    start = found.start() + (data[found.start() : found.start() + 1] == b"\n")
    version, software, comment = ((part or b"").decode("utf-8", "replace") for part in found.groups())
    return Identification(start, found.end(), version, software, comment)


def packets(data: bytes, at: int, end: int) -> Iterator[Packet]:
    """Yield packets up to NEWKEYS, to the end, or to what cannot be one."""
    for _ in range(MAX_PACKETS):
        if at + 6 > end:
            return
        length, padding = int.from_bytes(data[at : at + 4], "big"), data[at + 4]
        if not padding + 2 <= length <= MAX_PACKET:
            return
        whole_end = at + 4 + length
        payload = data[at + 6 : min(whole_end - padding, end)]
        yield Packet(at, min(whole_end, end), data[at + 5], payload, whole_end <= end)
        if data[at + 5] == NEWKEYS or whole_end > end:
            return
        at = whole_end


class KexInit(Struct):
    """The algorithms one side offers, best first."""

    lists: dict[str, list[str]]

    def hassh(self, *, of_client: bool) -> str:
        """Return the fingerprint of what this side can: MD5 of four lists (HASSH, Salesforce 2018)."""
        way = "to_server" if of_client else "to_client"
        names = ("kex", f"cipher_{way}", f"mac_{way}", f"compression_{way}")
        joined = ";".join(",".join(self.lists[name]) for name in names)
        return hashlib.md5(joined.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()

    def chosen(self, server: KexInit, name: str) -> str:
        """Return the first algorithm of this client that the server has too (RFC 4253 §7.1), "" if there is none."""
        offered = set(server.lists[name])
        return next((algorithm for algorithm in self.lists[name] if algorithm in offered), "")


def read_kexinit(payload: bytes) -> KexInit | None:
    """Read a KEXINIT behind its message number; None if its lists do not fit."""
    at, lists = 16, {}  # behind the cookie
    for name in _LISTS:
        end = at + 4 + int.from_bytes(payload[at : at + 4], "big")
        if at + 4 > len(payload) or end > len(payload):
            return None
        listed = payload[at + 4 : end].decode("utf-8", "replace")
        lists[name] = listed.split(",") if listed else []
        at = end
    return KexInit(lists)


def fingerprint(payload: bytes) -> tuple[str, str]:
    """Return type and SHA-256 fingerprint of the host key that begins a key exchange reply, "" if there is none."""
    size = int.from_bytes(payload[:4], "big")
    blob = payload[4 : 4 + size]
    kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
    if len(blob) != size or not 4 <= len(kind) <= 64 or not kind.isascii() or len(blob) < 20:
        return "", ""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")
    return kind.decode("ascii"), f"SHA256:{digest}"
