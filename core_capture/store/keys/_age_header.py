"""The header of an age file (https://age-encryption.org/v1): recipients and a MAC, before any is opened."""

from __future__ import annotations

import binascii
import hmac
from collections.abc import Iterable

from msgspec import Struct

from kubeshark.core_capture.store._limits import MAX_HEADER_BYTES
from kubeshark.errors import Damaged, StoreError

__all__ = ["INTRO", "Header", "Stanza", "decode64", "derive", "encode64", "format_header", "parse_end", "parse_header"]

INTRO = b"age-encryption.org/v1\n"
_VISIBLE = bytes(range(0x21, 0x7F))
_COLUMNS = 64  # base64 characters in a full line of a stanza's body


class Stanza(Struct, frozen=True):
    """One recipient: its type and arguments, and the file key wrapped for it."""

    arguments: tuple[bytes, ...]  # the type first
    body: bytes


class Header(Struct, frozen=True):
    """A header that is well formed; whether it is authentic only the file key tells."""

    name: str  # of the file, for messages
    stanzas: tuple[Stanza, ...]
    length: int  # bytes up to and including the MAC line
    covered: bytes  # by the MAC
    mac: bytes

    def check(self, file_key: bytes) -> None:
        """Raise Damaged unless the MAC was made with this key."""
        if not hmac.compare_digest(self.mac, _mac(file_key, self.covered)):
            raise Damaged("its header fails its authentication", file=self.name, offset=len(self.covered) - 3)


def format_header(file_key: bytes, stanzas: Iterable[Stanza]) -> bytes:
    """Return the header; raise StoreError if it is longer than readers accept."""
    lines = [INTRO]
    for stanza in stanzas:
        body = encode64(stanza.body)
        lines.append(b"-> " + b" ".join(stanza.arguments) + b"\n")
        # A body ends with a line that is not full, even if that is empty.
        lines += [body[at : at + _COLUMNS] + b"\n" for at in range(0, len(body) + 1, _COLUMNS)]
    header = b"".join(lines) + b"---"
    header += b" " + encode64(_mac(file_key, header)) + b"\n"
    if len(header) > MAX_HEADER_BYTES:
        raise StoreError("more recipients than a header holds")
    return header


def parse_header(data: bytes, name: str) -> Header:
    """Parse a header; `data` is the file's beginning, at least the header if it is one."""
    if not data.startswith(INTRO):
        raise Damaged("does not begin as an age file", file=name, offset=0)
    at = len(INTRO)
    stanzas: list[Stanza] = []
    while data.startswith(b"-> ", at):
        stanza, at = _parse_stanza(data, at, name)
        stanzas.append(stanza)
    end = data.find(b"\n", at)
    if not data.startswith(b"--- ", at) or end < 0:
        raise Damaged("its header has no end", file=name, offset=at)
    return Header(name, tuple(stanzas), end + 1, data[: at + 3], decode64(data[at + 4 : end]) or b"")


def parse_end(data: bytes, name: str) -> Header | None:
    """Return a header without its recipients, for who knows the file key; None if its end is not in `data`."""
    at = data.find(b"\n--- ") + 1  # no recipient's line can begin so
    end = data.find(b"\n", at)
    if not at or end < 0:
        return None
    return Header(name, (), end + 1, data[: at + 3], decode64(data[at + 4 : end]) or b"")


def _parse_stanza(data: bytes, at: int, name: str) -> tuple[Stanza, int]:
    """Return the stanza at `at` and the offset behind it."""
    start = at
    end = data.find(b"\n", at)
    arguments = tuple(data[at + 3 : max(end, at)].split(b" "))
    body = bytearray()
    while end >= 0:
        at = end + 1
        end = data.find(b"\n", at)
        line = data[at : max(end, at)]
        if end < 0 or len(line) > _COLUMNS:
            break
        body += line
        if len(line) < _COLUMNS:
            decoded = decode64(bytes(body))
            if decoded is None or not all(_is_visible(argument) for argument in arguments):
                break
            return Stanza(arguments, decoded), end + 1
    raise Damaged("its header is malformed", file=name, offset=start)


def derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869) of one block: 32 bytes."""
    return hmac.digest(hmac.digest(salt, secret, "sha256"), info + b"\x01", "sha256")


def encode64(data: bytes) -> bytes:
    """Return base64 without padding."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=")


def decode64(text: bytes) -> bytes | None:
    """Decode unpadded base64; None unless `text` is its one canonical spelling."""
    try:
        data = binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        return None
    return data if encode64(data) == text else None


def _mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(derive(file_key, b"", b"header"), header, "sha256")


def _is_visible(argument: bytes) -> bool:
    return bool(argument) and not argument.translate(None, _VISIBLE)
