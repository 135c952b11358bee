"""Google's QUIC before it became the IETF's: public headers (Q043 and older) and Q046, with CHLO in clear.

"QUIC Wire Layout Specification" and "QUIC Crypto" (Google, 2016): a CHLO is a table of four-letter tags.
"""

from __future__ import annotations

from msgspec import Struct

__all__ = ["GoogleHello", "find_chlo", "google_version"]

VERSION_FLAG, RESET_FLAG, ID_FLAG = 0x01, 0x02, 0x08
LONG_VERSIONS = ("Q044", "Q045", "Q046", "Q047", "Q048", "Q049")
MAX_TAGS = 128  # Google's own limit
SEARCHED = 128  # bytes before a CHLO: header, hash, stream frame


class GoogleHello(Struct, frozen=True):
    version: str  # Q043
    connection_id: bytes
    tags: dict[str, bytes]
    start: int

    @property
    def sni(self) -> str:
        return self.tags.get("SNI", b"").decode("ascii", "backslashreplace")

    @property
    def agent(self) -> str:
        return self.tags.get("UAID", b"").decode("utf-8", "replace")


def google_version(data: bytes) -> tuple[str, bytes] | None:
    """Return (version, connection id) of a client's packet of Google QUIC; None if it is none."""
    if len(data) < 14:
        return None
    if data[0] & 0x80:
        version = data[1:5]
        name = version.decode("latin-1")
        return (name, data[6:14]) if name in LONG_VERSIONS and data[5] >> 4 in (0, 5) else None
    if data[0] & (VERSION_FLAG | RESET_FLAG | ID_FLAG) != VERSION_FLAG | ID_FLAG or data[0] & 0x40:
        return None
    version = data[9:13]
    if version[:2] == b"Q0" and version[2:].isdigit():
        return version.decode("ascii"), data[1:9]
    return None


def find_chlo(data: bytes) -> GoogleHello | None:
    """Return the CHLO of a packet; None if it has none."""
    found = google_version(data)
    if found is None:
        return None
    at = data.find(b"CHLO", 9, SEARCHED)
    return None if at < 0 else GoogleHello(*found, read_tags(data[at:]), at)


def read_tags(message: bytes) -> dict[str, bytes]:
    """Read the tags behind "CHLO": their count, then (tag, end) each, then the values. Stops where it is cut."""
    count = int.from_bytes(message[4:6], "little")
    values = 8 + 8 * count
    tags: dict[str, bytes] = {}
    if count > MAX_TAGS:
        return tags
    start = 0
    for at in range(8, min(values, len(message) - 7), 8):
        end = int.from_bytes(message[at + 4 : at + 8], "little")
        if end < start or values + end > len(message):
            break
        tags[message[at : at + 4].rstrip(b"\0").decode("latin-1")] = message[values + start : values + end]
        start = end
    return tags
