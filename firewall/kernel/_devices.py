"""Which devices of this machine carry whose packets, asked of the kernel by rtnetlink.

A pod is found by its address: the route to it names the host's side of its veth, or a bridge, whose forwarding table
then names the port behind which the pod's link-layer address was seen.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

__all__ = ["XdpMode", "all_devices", "is_card", "is_ethernet", "outer_devices", "own_addresses", "pod_device", "xdp_on"]

XdpMode = Literal["native", "generic"]

_REQUEST, _DUMP = 1, 0x300
_GETADDR, _NEWADDR, _GETROUTE, _NEWROUTE, _GETNEIGH, _NEWNEIGH = 22, 20, 26, 24, 30, 28
_ERROR, _DONE = 2, 3
_BRIDGE = 7  # AF_BRIDGE
_DST, _OIF, _GATEWAY, _VIA, _TABLE = 1, 4, 5, 18, 15  # of routes
_NEIGHBOUR, _LLADDR, _MASTER = 1, 2, 9
_MAIN, _UNICAST = 254, 1
_NEWLINK, _GETLINK = 16, 18
_XDP, _XDP_ATTACHED, _XDP_PROGRAM = 43, 2, 4  # of links
_PARENT_DEVICE = 56  # of links, from kernel 5.14
_XDP_GENERIC = 2  # as _XDP_ATTACHED; others are the driver's, or the card's
_SIOCGIFHWADDR = 0x8927
_ETHERNET, _LOOPBACK = 1, 772
TIMEOUT_S = 5

Address = IPv4Address | IPv6Address


def all_devices() -> list[str]:
    """Return the names of the devices that there are."""
    return [name for _, name in socket.if_nameindex()]


def is_ethernet(name: str) -> bool:
    """Say whether what a device carries has Ethernet's header; OSError if there is no such device."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, struct.pack("16sH14x", name.encode()[:15], 0))
    return int(struct.unpack_from("<H", answer, 16)[0]) in (_ETHERNET, _LOOPBACK)


def is_card(index: int) -> bool:
    """Say whether a device is of hardware, or of what a virtual machine takes for it."""
    return _PARENT_DEVICE in _link(index)


def xdp_on(index: int) -> tuple[XdpMode, int] | None:
    """Return how an XDP program is attached to a device, and its id (0: not told); None if there is none."""
    said = _attributes(_link(index).get(_XDP, b""))
    attached, program = said.get(_XDP_ATTACHED, b"\0")[0], said.get(_XDP_PROGRAM, b"")[:4]
    if not attached:
        return None
    return "generic" if attached == _XDP_GENERIC else "native", int.from_bytes(program, "little")


def _link(index: int) -> dict[int, bytes]:
    body = struct.pack("<BBHiII", 0, 0, 0, index, 0, 0)
    return next((attributes for _, attributes in _ask(_GETLINK, 0, body, 16, _NEWLINK)), {})


def own_addresses() -> Iterator[Address]:
    """Yield this machine's addresses."""
    for _, attributes in _ask(_GETADDR, _DUMP, bytes(8), 8, _NEWADDR):
        for kind in (1, 2):  # IFA_ADDRESS, IFA_LOCAL
            if len(attributes.get(kind, b"")) in (4, 16):
                yield ip_address(attributes[kind])


def outer_devices() -> list[str]:
    """Return the devices of default routes: what the host talks to others by."""
    found: dict[str, None] = {}
    for head, attributes in _ask(_GETROUTE, _DUMP, bytes(12), 12, _NEWROUTE):
        table = struct.unpack("<I", attributes[_TABLE])[0] if _TABLE in attributes else head[4]
        is_default = head[1] == 0 and head[7] == _UNICAST and table == _MAIN and _OIF in attributes
        if is_default and (name := _name(struct.unpack("<I", attributes[_OIF])[0])):
            found[name] = None
    return list(found)


def pod_device(address: str) -> str | None:
    """Return the device behind which a pod of this machine is; None if no route of ours leads straight to it."""
    wanted = ip_address(address)
    family = socket.AF_INET if wanted.version == 4 else socket.AF_INET6
    body = struct.pack("<BBBBBBBBI", family, wanted.max_prefixlen, 0, 0, 0, 0, 0, 0, 0) + _attribute(
        _DST, wanted.packed
    )
    for head, attributes in _ask(_GETROUTE, 0, body, 12, _NEWROUTE):
        if head[7] != _UNICAST or _OIF not in attributes or _GATEWAY in attributes or _VIA in attributes:
            return None
        index = int(struct.unpack("<I", attributes[_OIF])[0])
        return _name(_behind_bridge(index, wanted, family))
    return None


def _behind_bridge(bridge: int, wanted: Address, family: int) -> int:
    """Return the port of a bridge behind which an address is, the device itself if it is no bridge, 0: not known."""
    ports = {
        attributes[_LLADDR]: int(struct.unpack_from("<i", head, 4)[0])
        for head, attributes in _ask(_GETNEIGH, _DUMP, struct.pack("<B11x", _BRIDGE), 12, _NEWNEIGH)
        if _LLADDR in attributes and struct.unpack("<I", attributes.get(_MASTER, bytes(4)))[0] == bridge
    }
    if not ports:
        return bridge
    for head, attributes in _ask(_GETNEIGH, _DUMP, struct.pack("<B11x", family), 12, _NEWNEIGH):
        if attributes.get(_NEIGHBOUR) == wanted.packed and struct.unpack_from("<i", head, 4)[0] == bridge:
            return ports.get(attributes.get(_LLADDR, b""), 0)
    return 0


def _name(index: int) -> str | None:
    try:
        return socket.if_indextoname(index) if index else None
    except OSError:
        return None


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _ask(kind: int, flags: int, body: bytes, head: int, wanted: int) -> Iterator[tuple[bytes, dict[int, bytes]]]:
    """Yield each answer's fixed head of `head` bytes, and its attributes; nothing for an error."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
        link.settimeout(TIMEOUT_S)
        link.send(struct.pack("<IHHII", 16 + len(body), kind, flags | _REQUEST, 1, 0) + body)
        while True:
            data = link.recv(1 << 18)
            while len(data) >= 16:
                length, said = struct.unpack_from("<IH", data)
                if said in (_ERROR, _DONE) or not 16 + head <= length <= len(data):
                    return
                message, data = data[16:length], data[(length + 3) & ~3 :]
                if said == wanted:
                    yield message[:head], _attributes(message[head:])
                if not flags & _DUMP:
                    return


def _attributes(body: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(body) >= 4:
        size, kind = struct.unpack_from("<HH", body)
        if not 4 <= size <= len(body):
            break
        found[kind & 0x3FFF] = body[4:size]
        body = body[(size + 3) & ~3 :]
    return found
