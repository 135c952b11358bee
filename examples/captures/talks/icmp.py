"""Pings over IPv4 and IPv6, and a datagram to a port where nobody listens."""

from __future__ import annotations

import socket
import struct

from network import FILES, LAPTOP, LAPTOP_V6, WEB, WEB_V6

from talks._line import PATIENCE_S

IDENTIFIER = 0x4B53
ECHO, ECHO_REPLY, ECHO_V6, ECHO_REPLY_V6 = 8, 0, 128, 129
PAYLOAD = bytes(range(48))


def talk() -> None:
    for sequence in range(1, 4):
        _ping(socket.AF_INET, WEB, LAPTOP, ECHO, ECHO_REPLY, sequence)
    for sequence in range(1, 3):
        _ping(socket.AF_INET6, WEB_V6, LAPTOP_V6, ECHO_V6, ECHO_REPLY_V6, sequence)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((LAPTOP, 0))
        client.sendto(b"is anybody there?", (FILES, 9999))


def _ping(family: int, server: str, client: str, request: int, reply: int, sequence: int) -> None:
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    with socket.socket(family, socket.SOCK_RAW, protocol) as raw:
        raw.settimeout(PATIENCE_S)
        raw.bind((client, 0))
        fields = struct.pack(">HH", IDENTIFIER, sequence) + PAYLOAD
        checksum = _checksum(bytes([request, 0, 0, 0]) + fields) if family == socket.AF_INET else 0  # v6: the kernel's
        raw.sendto(struct.pack(">BBH", request, 0, checksum) + fields, (server, 0))
        while True:
            answer = raw.recv(2048)
            message = answer[20:] if family == socket.AF_INET else answer
            if message[0] == reply:
                return


def _checksum(data: bytes) -> int:
    """RFC 1071, over an even number of bytes."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
