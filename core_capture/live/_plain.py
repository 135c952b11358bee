"""Reads an interface packet by packet, in Python alone: where the C core was not built, and as the ring's oracle."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress

from kubeshark.core_capture.live._interfaces import COOKED, NetworkInterface
from kubeshark.core_capture.live._options import Again, Counters, LiveOptions, Room
from kubeshark.core_capture.live._socket import SOL_PACKET, open_socket

__all__ = ["PlainReader"]

BATCH_PACKETS = 512
BUFFER_BYTES = 8 << 20  # asked for; without CAP_NET_ADMIN the kernel gives what net.core.rmem_max allows
MAX_FRAME = 1 << 19  # what the ring holds of one, too

_AUXDATA = 8
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
_VLAN_VALID, _TPID_VALID = 1 << 4, 1 << 6
_TPID_8021Q = 0x8100
_AUX = struct.Struct("IIIHHHH")  # status, length, captured, mac, net, tci, tpid
_MACS, _COOKED_BYTES = 12, 20
_RECORD = struct.Struct("<IIII")
_NS = 1_000_000_000


class PlainReader:
    """A `PacketReader`."""

    def __init__(self, interface: NetworkInterface, options: LiveOptions) -> None:
        self.counters = Counters()
        self.socket = open_socket(interface, options)
        self._snaplen = options.snaplen
        self._is_cooked = interface.link_type == COOKED
        self.socket.setsockopt(SOL_PACKET, _AUXDATA, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
        except PermissionError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)

    def read(self, room: Room | None = None, again: Again | None = None) -> tuple[bytes, int] | None:  # noqa: ARG002 - its packets come one by one
        records: list[bytes] = []
        with suppress(BlockingIOError):
            while len(records) < BATCH_PACKETS:
                records.append(self._next())
        self.counters.delivered += len(records)
        return (b"".join(records), len(records)) if records else None

    def _next(self) -> bytes:
        data, ancillary, _, address = self.socket.recvmsg(MAX_FRAME, 256)
        seconds, nanoseconds = divmod(time.time_ns(), _NS)
        status = tci = 0
        original, tpid = len(data), _TPID_8021Q
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack_from("qq", value)
            elif level == SOL_PACKET and kind == _AUXDATA:
                status, original, _, _, _, tci, tag = _AUX.unpack_from(value)
                if status & _TPID_VALID:
                    tpid = tag
        is_tagged = bool(status & _VLAN_VALID)
        if self._is_cooked:
            front = _cooked_header(address, tpid if is_tagged else None, tci)
        elif is_tagged and len(data) >= _MACS:
            front = data[:_MACS] + struct.pack(">HH", tpid, tci)
            data = data[_MACS:]
            original -= _MACS
        else:
            front = b""
        kept = (front + data)[: self._snaplen]
        original += len(front)
        self.counters.truncated += original > len(kept)
        return _RECORD.pack(seconds & 0xFFFF_FFFF, nanoseconds, len(kept), original) + kept

    def close(self) -> None:
        self.socket.close()


def _cooked_header(address: tuple[str, int, int, int, bytes], tpid: int | None, tci: int) -> bytes:
    """Return a header of LINKTYPE_LINUX_SLL2, and behind it what a tag takes."""
    name, protocol, kind, hardware, sender = address
    try:
        index = socket.if_nametoindex(name)
    except OSError:
        index = 0  # gone since
    outer = protocol if tpid is None else tpid
    header = struct.pack(">HHIHBB8s", outer, 0, index, hardware, kind, len(sender), sender[:8])
    return header if tpid is None else header + struct.pack(">HH", tci, protocol)
