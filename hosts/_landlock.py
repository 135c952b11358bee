"""Landlock by raw system calls: from here on this process opens no path, connects nowhere, signals nobody outside.

Source: landlock(7), linux/landlock.h. The kernel's ABI number says which rights it knows.
"""

from __future__ import annotations

import ctypes
import os
import struct

__all__ = ["landlock_abi", "restrict"]

_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # the same on every architecture
_VERSION_FLAG = 1
_RESTRICT_TSYNC = 8  # ABI 8: all threads
# ABI: bits of handled_access_fs it adds up to
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_RIGHTS = 0b11  # ABI 4: bind and connect TCP
_SCOPES = 0b11  # ABI 6: abstract unix sockets, signals


def landlock_abi() -> int:
    """Return the kernel's Landlock ABI, 0 where there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)))


def restrict() -> int:
    """Deny every path, TCP and every scope the kernel knows; return its ABI, 0 if it has none. Needs no_new_privs."""
    abi = landlock_abi()
    if not abi:
        return 0
    files = max(bits for since, bits in _FILE_RIGHTS.items() if since <= abi)
    attributes = struct.pack("<QQQ", files, _NET_RIGHTS if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    libc = ctypes.CDLL(None, use_errno=True)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock ruleset refused")
    try:
        if libc.syscall(_RESTRICT_SELF, ruleset, _RESTRICT_TSYNC if abi >= 8 else 0) != 0:
            raise OSError(ctypes.get_errno(), "landlock refused")
    finally:
        os.close(ruleset)
    return abi
