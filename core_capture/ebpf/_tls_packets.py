"""Clear text of a connection as packets: what it would have been without TLS, with the addresses of the real one.

Packets are of link type LINKTYPE_IPV4 or LINKTYPE_IPV6, which no interface gives: that keeps them apart from those of
the wire. Files of others may have these, too: so each packet bears MARK, an option for experiments (RFC 6994), as the
last of its TCP header. Sequence numbers count the bytes of the clear text; bytes that were lost between the
kernel and here are a gap in them, as bytes that a capture lost. Checksums are right.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Any, Final

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from kubeshark.core_capture._columns import Decoded, PacketBit
from kubeshark.core_capture._records import LINKTYPE_IPV4, LINKTYPE_IPV6
from kubeshark.core_capture.ebpf._tls_events import READ, Ends

__all__ = ["MARK", "Conversation", "marked_flows"]

MARK: Final = b"\xfd\x04KS"
"""Kind 253, its length, and "KS" as the experiment's id."""

FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10
_SEQUENCES = 1 << 32
_TCP: Final = 6
_WINDOW: Final = 65_535
_HEADER_WORDS: Final = (20 + len(MARK)) // 4
_NS: Final = 1_000_000_000


class Conversation(Struct):
    """Writes the packets of one connection; `ends` says who is who."""

    ends: Ends
    sent: list[int] = field(default_factory=lambda: [0, 0])  # bytes by direction: 0 what was read, 1 what was written
    is_open: bool = False

    @property
    def link_type(self) -> int:
        return LINKTYPE_IPV6 if ":" in self.ends.local[0] else LINKTYPE_IPV4

    def data(self, kind: int, at: int, payload: bytes, time_ns: int) -> list[bytes]:
        """Return the records of a piece that begins `at` bytes into its direction; `time_ns` of the wall clock."""
        records = [] if self.is_open else self._greeting(time_ns, at if kind == READ else 0, 0 if kind == READ else at)
        records.append(self._record(kind, PSH | ACK, at, payload, time_ns))
        self.sent[kind] = max(self.sent[kind], at + len(payload))
        return records

    def end(self, time_ns: int) -> list[bytes]:
        """Return the records of the end."""
        if not self.is_open:
            return []
        self.is_open = False
        client = READ if self.ends.is_server else 1 - READ
        return [self._record(kind, FIN | ACK, self.sent[kind], b"", time_ns) for kind in (client, 1 - client)]

    def _greeting(self, time_ns: int, read: int, written: int) -> list[bytes]:
        """The handshake, unless the connection is older than the probes' first look at it: then there is none."""
        self.is_open = True
        self.sent = [read, written]
        if read or written:
            return []
        client = READ if self.ends.is_server else 1 - READ
        return [
            self._record(client, SYN, -1, b"", time_ns),
            self._record(1 - client, SYN | ACK, -1, b"", time_ns),
            self._record(client, ACK, 0, b"", time_ns),
        ]

    def _record(self, kind: int, flags: int, at: int, payload: bytes, time_ns: int) -> bytes:
        source, target = (self.ends.remote, self.ends.local) if kind == READ else (self.ends.local, self.ends.remote)
        sequence = (1 + at) % _SEQUENCES
        acknowledged = (1 + self.sent[1 - kind]) % _SEQUENCES if flags & ACK else 0
        ports = source[1], target[1]
        segment = struct.pack(">HHIIBBHHH", *ports, sequence, acknowledged, _HEADER_WORDS << 4, flags, _WINDOW, 0, 0)
        packet = _with_ip(source[0], target[0], segment + MARK, payload)
        return struct.pack("<IIII", time_ns // _NS, time_ns % _NS, len(packet), len(packet)) + packet


def marked_flows(decoded: Decoded, flows: NDArray[Any]) -> NDArray[np.bool_]:
    """Say of each of these rows of `decoded.flows` whether its first packet bears MARK."""
    first = np.minimum(decoded.flows["first_packet"][flows], len(decoded.packets) - 1)
    firsts = decoded.packets[first]
    ends = (firsts["offset"].astype(np.int64) + firsts["payload_offset"]).tolist()
    data = memoryview(decoded.data)
    is_own = firsts["flow"] == flows  # a tunnel's carrier has no packets of its own
    is_whole = is_own & (firsts["bits"] & PacketBit.ARENA == 0) & (firsts["transport"] == _TCP)
    return np.array(
        [
            whole and bytes(data[end - len(MARK) : end]) == MARK
            for whole, end in zip(is_whole.tolist(), ends, strict=True)
        ],
        dtype=np.bool_,
    )


def _with_ip(source: str, target: str, segment: bytes, payload: bytes) -> bytes:
    a, b = ipaddress.ip_address(source).packed, ipaddress.ip_address(target).packed
    length = len(segment) + len(payload)
    pseudo = a + b + (struct.pack(">BBH", 0, _TCP, length) if len(a) == 4 else struct.pack(">II", length, _TCP))
    checksum = _checksum(pseudo + segment + payload)
    segment = segment[:16] + struct.pack(">H", checksum) + segment[18:] + payload
    if len(a) == 4:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, _TCP, 0) + a + b
        return head[:10] + struct.pack(">H", _checksum(head)) + head[12:] + segment
    return struct.pack(">IHBB", 6 << 28, length, _TCP, 64) + a + b + segment


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
