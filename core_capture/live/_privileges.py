"""Capabilities: what opening a packet socket takes, and giving all that up once it is open.

Linux keeps capabilities per thread, and a new thread inherits those of its maker: they are dropped before any other
thread starts, or it is said how many keep them.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path

from kubeshark.errors import CaptureError

__all__ = ["BPF", "NET_RAW", "PERFMON", "SYS_ADMIN", "SYS_PTRACE", "drop_privileges", "effective", "how_to_allow"]

NET_RAW = 13  # CAP_NET_RAW
SYS_PTRACE, SYS_ADMIN, PERFMON, BPF = 19, 21, 38, 39
"""CAP_*: what reads TLS of processes (`core_capture/ebpf`) needs also later, for processes that start later."""
FILES = frozenset({0, 1, 2, 3, 4})
"""CAP_CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID: root still writes a store in a user's folder with them."""

_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
_BOUNDING_DROP, _NO_NEW_PRIVS, _AMBIENT, _AMBIENT_CLEAR_ALL = 24, 38, 47, 4  # PR_*


def how_to_allow() -> str:
    """Say how a user gets the one capability that a capture needs."""
    program = Path(sys.executable).resolve()
    return f'run it as root, or let this Python capture: "sudo setcap cap_net_raw+ep {program}"'


def effective() -> frozenset[int]:
    """Return the numbers of the capabilities that this thread has."""
    for line in Path("/proc/thread-self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            bits = int(line.split()[1], 16)
            return frozenset(number for number in range(64) if bits >> number & 1)
    return frozenset()


def drop_privileges(keep: frozenset[int] = frozenset()) -> int:
    """Give up every capability but `keep` and those that open files, for the rest of this process and what it starts.

    Call it when sources are open and before threads start: returns how many of them keep capabilities. Raises
    CaptureError if the kernel refuses.
    """
    kept = effective() & (FILES | keep)
    libc = ctypes.CDLL(None, use_errno=True)
    for number in range(64):
        with suppress(OSError):  # takes CAP_SETPCAP; without it there is little to lose by running a program
            _prctl(libc, _BOUNDING_DROP, number)
    with suppress(OSError):
        _prctl(libc, _AMBIENT, _AMBIENT_CLEAR_ALL)
    _prctl(libc, _NO_NEW_PRIVS, 1)
    bits = sum(1 << number for number in kept)
    low, high = bits & 0xFFFF_FFFF, bits >> 32
    header = struct.pack("<Ii", _VERSION, 0)
    if libc.capset(header, struct.pack("<IIIIII", low, low, 0, high, high, 0)) != 0:
        number = ctypes.get_errno()
        raise CaptureError(f"capabilities cannot be dropped: {os.strerror(number)}")
    return _others_with_more(bits)


def _others_with_more(bits: int) -> int:
    count = 0
    for status in Path("/proc/self/task").glob("*/status"):
        with suppress(OSError):  # a thread that ended
            for line in status.read_text(encoding="ascii", errors="replace").splitlines():
                count += line.startswith("CapPrm:") and bool(int(line.split()[1], 16) & ~bits)
    return count


def _prctl(libc: ctypes.CDLL, option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
