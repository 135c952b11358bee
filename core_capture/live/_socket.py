"""Packet sockets: what the ring reader and the plain one share.

1. A socket gets its filter before it is bound, and until then it hears nothing: no packet passes unfiltered.
2. It takes CAP_NET_RAW to make one and nothing afterwards: it is bound again when its interface comes back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Sequence
from typing import Protocol

from kubeshark.core_capture.live._address_filter import address_program
from kubeshark.core_capture.live._bpf import (
    MAX_INSTRUCTIONS,
    Instruction,
    accept,
    compile_filter,
    guarded,
    pack,
    reject,
)
from kubeshark.core_capture.live._interfaces import ANY, COOKED, NetworkInterface
from kubeshark.core_capture.live._options import Again, Counters, LiveOptions, PacketChoice, Room
from kubeshark.core_capture.live._privileges import how_to_allow
from kubeshark.errors import CaptureError, UsageError

__all__ = [
    "SOL_PACKET",
    "PacketReader",
    "apply_options",
    "bind",
    "choose",
    "open_socket",
    "open_unfiltered",
    "quiesce",
    "take_statistics",
]

SOL_PACKET = 263
ETH_P_ALL = 0x0003
_SO_ATTACH_FILTER = 26
_ADD_MEMBERSHIP, _STATISTICS, _FANOUT = 1, 6, 18
_MR_PROMISCUOUS = 1
_FANOUT_HASH, _FANOUT_DEFRAGMENT = 0, 0x8000


class PacketReader(Protocol):
    """One interface's packets. `read` never waits: `socket` tells when there is something."""

    socket: socket.socket

    @property
    def counters(self) -> Counters: ...  # delivered, damaged, truncated; the rest comes from the kernel
    def read(  # records, and how many; what `room` lends is filled as long as it has room and `again` says so
        self, room: Room | None = None, again: Again | None = None
    ) -> tuple[bytes | memoryview, int] | None: ...
    def close(self) -> None: ...


def open_socket(interface: NetworkInterface, options: LiveOptions) -> socket.socket:
    """Return a socket with everything but its binding; raise CaptureError or UsageError."""
    return _open(interface, _program(interface, options, options.choice))


def open_unfiltered(interface: NetworkInterface, options: LiveOptions) -> socket.socket:
    """Return a socket that takes a byte of every packet of the directions that are captured."""
    return _open(interface, guarded(accept(1), options.direction, _loopback(interface)))


def _open(interface: NetworkInterface, program: Sequence[Instruction]) -> socket.socket:
    kind = socket.SOCK_DGRAM if interface.link_type == COOKED else socket.SOCK_RAW
    try:
        opened = socket.socket(socket.AF_PACKET, kind, 0)
    except PermissionError as error:
        raise CaptureError(
            f"capturing on {interface.name} needs the capability CAP_NET_RAW", hint=how_to_allow()
        ) from error
    try:
        opened.setblocking(False)
        _attach(opened, program)
    except OSError as error:
        opened.close()
        raise CaptureError(f"the kernel refuses the filter on {interface.name}: {error.strerror}") from error
    return opened


def choose(opened: socket.socket, interface: NetworkInterface, options: LiveOptions, choice: PacketChoice) -> bool:
    """Have a socket take other packets from now on; say whether the kernel has room for the program: else all is as
    it was.

    The kernel changes programs between two packets, and asks for no capability.
    """
    program = _program(interface, options, choice)
    if len(program) > MAX_INSTRUCTIONS:
        return False
    try:
        _attach(opened, program)
    except OSError as error:
        if error.errno == errno.ENOMEM:  # net.core.optmem_max
            return False
        raise CaptureError(f"the kernel refuses the filter on {interface.name}: {error.strerror}") from error
    return True


def _program(interface: NetworkInterface, options: LiveOptions, choice: PacketChoice) -> list[Instruction]:
    """Return what to attach; a filter that is wrong is found out even while nothing is kept."""
    expression = _joined(options.filter, choice.filters)
    program = compile_filter(expression, interface.link_type, options.snaplen, interface.name)
    if not choice.filters or choice.addresses == frozenset():
        return reject()
    if choice.addresses is not None:
        program = [*address_program(choice.addresses, interface.link_type), *program]
    return guarded(program, options.direction, _loopback(interface))


def _joined(always: str, filters: Sequence[str]) -> str:
    """Return an expression for packets that pass `always` and one of the filters."""
    one = "" if not all(each.strip() for each in filters) else " or ".join(f"({each})" for each in filters)
    both = [each for each in (always.strip(), one) if each]
    return both[0] if len(both) == 1 else " and ".join(f"({each})" for each in both)


def apply_options(opened: socket.socket, interface: NetworkInterface, options: LiveOptions) -> None:
    """Do what must wait until the socket is bound; after each binding anew."""
    if options.promiscuous and interface.name != ANY and not interface.is_loopback:
        request = struct.pack("iHH8x", interface.index, _MR_PROMISCUOUS, 0)
        try:
            opened.setsockopt(SOL_PACKET, _ADD_MEMBERSHIP, request)
        except OSError as error:
            raise CaptureError(
                f"{interface.name} cannot be made promiscuous: {error.strerror}", hint="use --no-promiscuous"
            ) from error
    if options.fanout is not None:
        mode = (_FANOUT_HASH | _FANOUT_DEFRAGMENT) << 16 | options.fanout
        try:
            opened.setsockopt(SOL_PACKET, _FANOUT, struct.pack("I", mode))
        except OSError as error:
            raise CaptureError(
                f"{interface.name} cannot join the fanout group {options.fanout}: {error.strerror}",
                hint="all members listen on the same interface in the same way: choose another number",
            ) from error


def bind(opened: socket.socket, interface: NetworkInterface) -> None:
    """Begin to hear an interface; raise CaptureError.

    By its index, through libc: Python's `bind` takes names alone, and "any" has none.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    address = struct.pack("=HHiHBB8x", socket.AF_PACKET, socket.htons(ETH_P_ALL), interface.index, 0, 0, 0)
    if libc.bind(opened.fileno(), address, len(address)) != 0:
        raise CaptureError(f"cannot listen on {interface.name}: {os.strerror(ctypes.get_errno())}")


def quiesce(opened: socket.socket) -> None:
    """Take nothing any more; what is there can still be read."""
    _attach(opened, reject())


def take_statistics(opened: socket.socket) -> tuple[int, int]:
    """Return how many packets were received (dropped ones too) and dropped since the last call."""
    data = opened.getsockopt(SOL_PACKET, _STATISTICS, 12)
    received, dropped = struct.unpack_from("II", data)
    return received, dropped


def check_options(options: LiveOptions) -> None:
    """Raise UsageError for values that mean nothing."""
    if not 1 <= options.snaplen <= 262_144:
        raise UsageError(f"a snap length of {options.snaplen:,}", hint="use 1 to 262,144")
    if options.fanout is not None and not 0 <= options.fanout <= 0xFFFF:
        raise UsageError(f"a fanout group {options.fanout:,}", hint="use 0 to 65,535")


def _loopback(interface: NetworkInterface) -> int | None:
    if interface.name != ANY:
        return 0 if interface.is_loopback else None
    try:
        return socket.if_nametoindex("lo")
    except OSError:
        return None


def _attach(opened: socket.socket, program: Sequence[Instruction]) -> None:
    code = ctypes.create_string_buffer(pack(program))
    request = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))  # struct sock_fprog of 64 bits
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, request)
