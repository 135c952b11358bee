"""A network namespace with two interfaces that are joined by a cable, and packets that tell each other apart."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kubeshark.core_capture import RecordBatch

CLONE_NEWNET = 0x4000_0000
NEAR, FAR = "near0", "far0"
PORT = 9999
SOL_PACKET, VNET_HEADER = 263, 15
TAG_Q, TAG_AD = b"\x81\x00", b"\x88\xa8"

libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def own_network() -> Iterator[None]:
    """Put this thread, and those it starts, into a new network namespace; skip where that is not allowed."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            pytest.skip(f"network namespaces need root (CAP_SYS_ADMIN): {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            assert libc.setns(before, CLONE_NEWNET) == 0
    finally:
        os.close(before)


def ip(command: str) -> None:
    done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {command}: {done.stderr}"


def lay_cable() -> None:
    """Make both ends and turn them on; nothing but our packets is on the cable."""
    with suppress(OSError):  # a kernel without IPv6
        for which in ("all", "default"):
            Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
    ip(f"link add {NEAR} type veth peer name {FAR}")
    for end in (NEAR, FAR, "lo"):
        ip(f"link set {end} up")
    for end in (NEAR, FAR):  # until the kernel has seen that it is, what is sent is thrown away: up to a second
        until_up(end)


def until_up(name: str) -> None:
    ends = time.monotonic() + 60
    while b'"operstate":"UP"' not in subprocess.run(["ip", "-j", "link", "show", name], capture_output=True).stdout:
        assert time.monotonic() < ends, f"{name} does not come up"
        time.sleep(0.01)


def frame(number: int, *, size: int = 64, tags: bytes = b"", port: int = PORT) -> bytes:
    """Return an Ethernet frame with a UDP datagram that begins with `number`."""
    payload = struct.pack(">Q", number).ljust(max(size - 42, 8), b"x")
    udp = struct.pack(">HHHH", 1024 + number % 64, port, 8 + len(payload), 0) + payload
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + bytes([10, 0, 0, 1, 10, 0, 0, 2])
    return b"\x02\0\0\0\0\x02" + b"\x02\0\0\0\0\x01" + tags + b"\x08\x00" + head + udp


class Sender:
    """Sends frames out of one end."""

    def __init__(self, interface: str = NEAR) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((interface, 0))

    def send(self, frames: Iterable[bytes]) -> int:
        count = 0
        for one in frames:
            while True:
                try:
                    self._socket.send(one)
                    break
                except OSError as error:
                    if error.errno != 105:  # ENOBUFS: the other end is slow
                        raise
            count += 1
        return count

    def send_offloaded(self, payload: bytes, segment: int) -> None:
        """Send a TCP segment longer than a frame, as a network card would be given it: GSO."""
        tcp = struct.pack(">HHIIBBHHH", 1024, PORT, 1, 0, 0x50, 0x18, 1000, 0, 0)
        head = struct.pack(">BBHHHBBH", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0) + bytes([10, 0, 0, 1, 10, 0, 0, 2])
        whole = b"\x02\0\0\0\0\x02" + b"\x02\0\0\0\0\x01" + b"\x08\x00" + head + tcp + payload
        virtual = struct.pack(
            "=BBHHHH", 1, 1, 54, segment, 34, 16
        )  # checksum needed; TCPv4; header, size, start, offset
        self._socket.setsockopt(SOL_PACKET, VNET_HEADER, 1)
        try:
            self._socket.send(virtual + whole)
        finally:
            self._socket.setsockopt(SOL_PACKET, VNET_HEADER, 0)

    def close(self) -> None:
        self._socket.close()


def packets(batches: Iterable[RecordBatch]) -> list[tuple[int, int, bytes]]:
    """Return (time, original length, bytes) of each packet; checks what every batch promises."""
    found: list[tuple[int, int, bytes]] = []
    ordinal: int | None = None
    for batch in batches:
        if ordinal is None:
            first = ordinal = batch.ordinals[0]
        assert list(batch.ordinals) == list(range(ordinal, ordinal + batch.count))
        ordinal += batch.count
        at = 0
        while at < len(batch.data):
            seconds, nanoseconds, captured, original = struct.unpack_from("<IIII", batch.data, at)
            found.append((seconds * 10**9 + nanoseconds, original, batch.data[at + 16 : at + 16 + captured]))
            assert captured <= original
            at += 16 + captured
        assert at == len(batch.data)
        assert len(found) == ordinal - first
    return found


def number_of(data: bytes, before: int = 42) -> int:
    """Return the number of a frame that was sent."""
    return int(struct.unpack_from(">Q", data, before)[0])
