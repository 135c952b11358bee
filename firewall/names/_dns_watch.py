"""DNS answers as they pass the devices of subjects: a raw socket that sees datagrams of port 53 and nothing else.

An answer counts if it comes from a resolver of this machine, travels to the subject, and answers a query that the
subject itself has just sent there: address, port, id, name and type are the query's. So nobody opens anything who could
not have answered the subject anyway. What subjects ask over TCP is not seen.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from kubeshark.firewall._errors import firewall_failed
from kubeshark.firewall.names._dns import Answer, Question, parse_answer, parse_question

__all__ = ["DnsWatch", "Seen", "Side"]

MAX_WAITING = 8_192
"""Queries without an answer that are remembered; of more the oldest go."""

WAITS_S = 10.0
AT_ONCE = 512  # packets a call: others wait their turn
_ETH_ALL, _ETH_IP, _ETH_IPV6 = 3, 0x0800, 0x86DD
_OUTGOING = 4
_UDP, _DNS = 17, 53
_ATTACH_FILTER = 26
_RECEIVE_BYTES = 1 << 20

# ldb, ldh, ldh of X +, ldx of a header's length, and, jeq, jset, ret of classic BPF; jumps are counted from the next
_LDB, _LDH, _LDH_X, _LDX_IHL, _AND, _JEQ, _JSET, _RET = 0x30, 0x28, 0x48, 0xB1, 0x54, 0x15, 0x45, 0x06
_FILTER = (  # a datagram socket's data begin with the network header
    (_LDB, 0, 0, 0), (_AND, 0, 0, 0xF0), (_JEQ, 0, 9, 0x40),
    (_LDB, 0, 0, 9), (_JEQ, 0, 15, _UDP), (_LDH, 0, 0, 6), (_JSET, 13, 0, 0x1FFF), (_LDX_IHL, 0, 0, 0),
    (_LDH_X, 0, 0, 0), (_JEQ, 9, 0, _DNS), (_LDH_X, 0, 0, 2), (_JEQ, 7, 8, _DNS),
    (_JEQ, 0, 7, 0x60), (_LDB, 0, 0, 6), (_JEQ, 0, 5, _UDP), (_LDH, 0, 0, 40), (_JEQ, 2, 0, _DNS),
    (_LDH, 0, 0, 42), (_JEQ, 0, 1, _DNS),
    (_RET, 0, 0, 0xFFFF), (_RET, 0, 0, 0),
)  # fmt: skip

Address = IPv4Address | IPv6Address


class Side(NamedTuple):
    """Whose packets a device carries: a target, and whether it is the host's side of a pod's veth."""

    target: str
    is_pod: bool


@dataclass(frozen=True, slots=True)
class Seen:
    target: str
    answer: Answer


class _Datagram(NamedTuple):
    src: Address
    dst: Address
    src_port: int
    dst_port: int
    data: bytes


class DnsWatch:
    """Readable when there is something to read. Raises FirewallError where the socket may not be opened."""

    def __init__(self) -> None:
        try:
            kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK  # of all devices: pods come and go with theirs
            self._socket = socket.socket(socket.AF_PACKET, kind, socket.htons(_ETH_ALL))
            program = b"".join(struct.pack("HBBI", *each) for each in _FILTER)
            held = ctypes.create_string_buffer(program)
            attached = struct.pack("HL", len(_FILTER), ctypes.addressof(held))
            self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, attached)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        except OSError as error:
            raise firewall_failed("answers of DNS cannot be watched", error.errno or 0) from error
        self._waiting: OrderedDict[tuple[str, Address, int, Address, int], tuple[Question, float]] = OrderedDict()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def read(self, sides: Mapping[str, Side], resolvers: Collection[Address]) -> Iterator[Seen]:
        """Yield the answers that came, on devices that carry a subject's packets."""
        for _ in range(AT_ONCE):
            try:
                data, (device, protocol, kind, _, _) = self._socket.recvfrom(65_535)
            except BlockingIOError:
                return
            except OSError:  # a device went: nothing of it is of interest any more
                continue
            if (side := sides.get(device)) is None or protocol not in (_ETH_IP, _ETH_IPV6):
                continue
            with suppress(ValueError):
                is_outwards = (kind == _OUTGOING) != side.is_pod  # away from the subject
                seen = self._take(device, _datagram(data), resolvers, is_outwards=is_outwards)
                if seen is not None:
                    yield Seen(side.target, seen)

    def _take(
        self, device: str, packet: _Datagram, resolvers: Collection[Address], *, is_outwards: bool
    ) -> Answer | None:
        now = time.monotonic()
        if is_outwards:
            if packet.dst_port == _DNS and packet.dst in resolvers:
                question = parse_question(packet.data)
                key = device, packet.src, packet.src_port, packet.dst, question.id
                self._waiting[key] = question, now + WAITS_S
                self._waiting.move_to_end(key)
                if len(self._waiting) > MAX_WAITING:
                    self._waiting.popitem(last=False)
            return None
        if packet.src_port != _DNS or packet.src not in resolvers:
            return None
        answer = parse_answer(packet.data)
        key = device, packet.dst, packet.dst_port, packet.src, answer.question.id
        waiting = self._waiting.get(key)
        if waiting is None or waiting[0] != answer.question or waiting[1] < now:
            return None
        del self._waiting[key]
        return answer if answer.addresses else None


def _datagram(data: bytes) -> _Datagram:
    """Return what a whole IP packet with UDP carries; raise ValueError for any other."""
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= 20:
        at = (data[0] & 15) * 4
        total, protocol = int.from_bytes(data[2:4], "big"), data[9]
        is_fragment = int.from_bytes(data[6:8], "big") & 0x3FFF != 0
        src, dst = data[12:16], data[16:20]
    elif version == 6 and len(data) >= 40:
        at, protocol, is_fragment = 40, data[6], False
        total = 40 + int.from_bytes(data[4:6], "big")
        src, dst = data[8:24], data[24:40]
    else:
        raise ValueError("no IP packet")
    if protocol != _UDP or is_fragment or at < 20 or not at + 8 <= total <= len(data):
        raise ValueError("no whole datagram")
    src_port, dst_port, size = struct.unpack_from("!HHH", data, at)
    if not 8 <= size <= total - at:
        raise ValueError("a datagram is longer than its packet")
    return _Datagram(ip_address(src), ip_address(dst), src_port, dst_port, data[at + 8 : at + size])
