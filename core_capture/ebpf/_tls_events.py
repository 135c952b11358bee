"""What tls_probe.c tells, as numbers, and what the kernel knows about the sockets it names."""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

__all__ = ["CLOSE", "EVENT", "READ", "WRITE", "Ends", "TlsEvent", "ends_of", "parse_event"]

READ, WRITE, CLOSE = 0, 1, 2
EVENT: Final = struct.Struct("<QQQIIiIII")
"""`struct event` of tls_probe.c, before its data."""

_LISTENS = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]")
MAX_TABLE = 64 << 20


class TlsEvent(Struct, frozen=True):
    """A piece of what a process read or wrote, or the end of a connection."""

    time_ns: int  # CLOCK_MONOTONIC
    ssl: int  # the library's connection, an address in the process
    at: int  # bytes of this direction before it
    process: int
    thread: int
    descriptor: int  # -1: not seen
    kind: int
    data: bytes


class Ends(Struct, frozen=True):
    """The two ends of a socket: (address, port) of this side and the other's. `is_server`: this side listens there."""

    local: tuple[str, int]
    remote: tuple[str, int]
    is_server: bool


def parse_event(record: bytes) -> TlsEvent | None:
    """Return the event, None for a record that is none."""
    if len(record) < EVENT.size:
        return None
    time_ns, ssl, at, process, thread, descriptor, length, kind, _ = EVENT.unpack_from(record)
    data = record[EVENT.size : EVENT.size + length]
    if len(data) != length or kind not in (READ, WRITE, CLOSE):
        return None
    return TlsEvent(time_ns, ssl, at, process, thread, descriptor, kind, data)


def ends_of(process: int, descriptor: int, proc: Path = Path("/proc")) -> Ends | None:
    """Ask what a descriptor of a process is connected to; None for no TCP socket, or one that is gone."""
    root = proc / str(process)
    try:
        found = _SOCKET.fullmatch(str((root / "fd" / str(descriptor)).readlink()))
    except OSError:
        return None
    if found is None:
        return None
    for table in ("tcp", "tcp6"):
        rows = list(_rows(root / "net" / table))
        row = next((row for row in rows if row[9] == found[1]), None)
        if row is not None:
            local, remote = _end(row[1]), _end(row[2])
            listening = {each[1].partition(":")[2] for each in rows if each[3] == _LISTENS}
            if table == "tcp":  # a socket of IPv6 may take IPv4
                listening |= {r[1].partition(":")[2] for r in _rows(root / "net" / "tcp6") if r[3] == _LISTENS}
            return Ends(local, remote, row[1].partition(":")[2] in listening)
    return None


def _rows(table: Path) -> Iterator[list[str]]:
    with suppress(OSError), table.open(encoding="ascii", errors="replace") as lines:
        next(lines, None)
        for line in lines:
            fields = line.split()
            if len(fields) > 9:
                yield fields


def _end(text: str) -> tuple[str, int]:
    """Read "0100007F:1F90": words of the address in the machine's byte order, little-endian where we run."""
    digits, _, port = text.partition(":")
    packed = bytes.fromhex(digits)
    address = b"".join(packed[at : at + 4][::-1] for at in range(0, len(packed), 4))
    ip = ipaddress.ip_address(address)
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip), int(port, 16)
