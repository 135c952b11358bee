"""The interfaces of this network namespace, asked of the kernel by ioctl: sysfs may show another namespace's."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from ipaddress import IPv6Address
from pathlib import Path

from msgspec import Struct

from kubeshark.core_capture.live._time_stamps import Stamps, adapter_stamps
from kubeshark.errors import UsageError

__all__ = ["ANY", "COOKED", "NetworkInterface", "is_up", "link_type_of", "list_interfaces", "look_up"]

ANY = "any"
COOKED = 276  # LINKTYPE_LINUX_SLL2: what "any" gives, and interfaces whose headers nobody reads
ETHERNET, RAW_IP, WIFI, RADIOTAP = 1, 101, 105, 127

LINK_TYPES = {1: ETHERNET, 772: ETHERNET, 519: RAW_IP, 0xFFFE: RAW_IP, 801: WIFI, 803: RADIOTAP}
"""ARPHRD_* of <linux/if_arp.h> → LINKTYPE_*: Ethernet, loopback, raw IP, none (tun, WireGuard), 802.11, radiotap."""

_FLAGS, _ADDRESS, _MTU, _HARDWARE = 0x8913, 0x8915, 0x8921, 0x8927  # SIOCGIF*
_UP, _LOOPBACK, _RUNNING = 0x1, 0x8, 0x40
_NAME_BYTES, _REQUEST_BYTES = 16, 40


class NetworkInterface(Struct, frozen=True):
    """An interface as it was when it was looked up."""

    name: str
    index: int  # 0 for "any"
    link_type: int  # LINKTYPE_* that a capture on it has
    is_up: bool
    is_loopback: bool
    mtu: int
    addresses: tuple[str, ...] = ()
    adapter_stamps: Stamps = "none"  # which packets its network card can stamp


def list_interfaces() -> list[NetworkInterface]:
    """Return all, by index, and "any" behind them."""
    found = []
    for _, name in socket.if_nameindex():
        try:
            found.append(look_up(name))
        except UsageError:
            continue  # gone since it was listed
    return [*found, look_up(ANY)]


def look_up(name: str) -> NetworkInterface:
    """Return one by name; raise UsageError, with the names there are, if it does not exist."""
    if name == ANY:
        return NetworkInterface(ANY, 0, COOKED, is_up=True, is_loopback=False, mtu=0)
    try:
        index = socket.if_nametoindex(name)
        flags = _number(name, _FLAGS, "H")
        return NetworkInterface(
            name,
            index,
            link_type_of(_number(name, _HARDWARE, "H")),
            bool(flags & _UP),
            bool(flags & _LOOPBACK),
            _number(name, _MTU, "i"),
            _addresses(name),
            adapter_stamps(name),
        )
    except (OSError, ValueError) as error:
        there = ", ".join(sorted(other for _, other in socket.if_nameindex()))
        raise UsageError(f"there is no interface {name!r}", hint=f"there are {there} and {ANY}") from error


def link_type_of(hardware: int) -> int:
    """Return the LINKTYPE_* for an ARPHRD_*; cooked for what is not known."""
    return LINK_TYPES.get(hardware, COOKED)


def is_up(name: str) -> int:
    """Return the index of an interface that exists and is up, else 0."""
    try:
        return socket.if_nametoindex(name) if _number(name, _FLAGS, "H") & _UP else 0
    except OSError:
        return 0


def _addresses(name: str) -> tuple[str, ...]:
    found = []
    try:
        answer = _ask(name, _ADDRESS)
        found.append(socket.inet_ntoa(answer[20:24]))
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise
    try:
        rows = Path("/proc/self/net/if_inet6").read_text(encoding="ascii").splitlines()
    except OSError:
        rows = []  # a kernel without IPv6
    for row in rows:
        address, *_, device = row.split()
        if device == name:
            found.append(str(IPv6Address(bytes.fromhex(address))))
    return tuple(found)


def _number(name: str, request: int, form: str) -> int:
    (value,) = struct.unpack_from(form, _ask(name, request), _NAME_BYTES)
    return int(value)


def _ask(name: str, request: int) -> bytes:
    encoded = name.encode()
    if len(encoded) >= _NAME_BYTES:
        raise OSError(errno.ENODEV, "no interface has so long a name")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        return fcntl.ioctl(asked, request, encoded.ljust(_REQUEST_BYTES, b"\0"))
