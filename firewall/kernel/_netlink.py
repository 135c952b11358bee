"""rtnetlink, as much as is needed: clsact filters for kernels without tcx, and word of devices that come and go."""

from __future__ import annotations

import os
import socket
import struct

from kubeshark.firewall._errors import FirewallError

__all__ = ["LinkWatch", "add_filter", "delete_filter"]

_NEWQDISC, _NEWTFILTER, _DELTFILTER = 36, 44, 45
_REQUEST, _ACK, _EXCL, _CREATE = 1, 4, 0x200, 0x400
_ERROR = 2
_ROUTE, _GROUP_LINK = 0, 1
_CLSACT = 0xFFFFFFF1
_HOOK = {False: 0xFFFFFFF2, True: 0xFFFFFFF3}  # ingress, egress
_HANDLE = 0x6B73
_PRIORITY = 1
_KIND, _OPTIONS, _BPF_FD, _BPF_NAME, _BPF_FLAGS = 1, 2, 6, 7, 8
_EXISTS, _NO_ENTRY, _NO_DEVICE, _INVALID = 17, 2, 19, 22


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _ask(kind: int, flags: int, body: bytes) -> int:
    """Return the kernel's error number, 0 for done."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _ROUTE) as link:
        link.settimeout(5)
        link.bind((0, 0))
        link.send(struct.pack("<IHHII", 16 + len(body), kind, flags | _REQUEST | _ACK, 1, 0) + body)
        answer = link.recv(65536)
    if len(answer) < 20 or struct.unpack_from("<H", answer, 4)[0] != _ERROR:
        return _INVALID
    return -int(struct.unpack_from("<i", answer, 16)[0])


def _message(interface: int, handle: int, parent: int, info: int) -> bytes:
    return struct.pack("<BBHiIII", 0, 0, 0, interface, handle, parent, info)


def add_filter(interface: int, program: int, *, egress: bool) -> None:
    """Attach a program to clsact, in front; replaces one of ours that was left behind."""
    made = _ask(
        _NEWQDISC, _CREATE | _EXCL, _message(interface, 0xFFFF0000, _CLSACT, 0) + _attribute(_KIND, b"clsact\0")
    )
    if made not in (0, _EXISTS):
        raise FirewallError(
            f"firewall: clsact on device {interface}: {os.strerror(made)}", hint="the kernel needs NET_CLS_ACT"
        )
    options = (
        _attribute(_BPF_FD, struct.pack("<I", program))
        + _attribute(_BPF_NAME, b"kubeshark\0")
        + _attribute(_BPF_FLAGS, struct.pack("<I", 1))  # what it returns is what is done
    )
    delete_filter(interface, egress=egress)
    body = _message(interface, _HANDLE, _HOOK[egress], _PRIORITY << 16 | socket.htons(3))
    error = _ask(_NEWTFILTER, _CREATE | _EXCL, body + _attribute(_KIND, b"bpf\0") + _attribute(_OPTIONS, options))
    if error:
        raise FirewallError(f"firewall: filter on device {interface}: {os.strerror(error)}", hint="see tc filter show")


def delete_filter(interface: int, *, egress: bool) -> None:
    """Remove our filter, if it is there; the qdisc stays, others may use it."""
    body = _message(interface, _HANDLE, _HOOK[egress], _PRIORITY << 16 | socket.htons(3))
    error = _ask(_DELTFILTER, 0, body + _attribute(_KIND, b"bpf\0"))
    if error not in (0, _NO_ENTRY, _NO_DEVICE, _INVALID):
        raise FirewallError(f"firewall: filter on device {interface} stays: {os.strerror(error)}")


class LinkWatch:
    """A socket that becomes readable when a device comes, goes or changes."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _ROUTE)
        self._socket.bind((0, _GROUP_LINK))

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> None:
        try:
            while self._socket.recv(65536):
                pass
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: there were more than fit; the devices are looked at in any case
            return

    def close(self) -> None:
        self._socket.close()
