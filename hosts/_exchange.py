"""One exchange with a plugin's process: a command goes over its control socket, the answer comes back.

Done in C where that was built (native/exchange.c), which also keeps both on one core while it takes; the same in
Python elsewhere.
"""

from __future__ import annotations

import math
import socket
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

from kubeshark.hosts._child import COMMAND

__all__ = ["HAS_NATIVE", "MAX_ANSWER", "Control"]

_native: Any = None
with suppress(ImportError):  # no compiler when it was installed
    _native = import_module("kubeshark.hosts._exchange_native")

ABI = 1
if _native is not None and _native.lib.kx_abi() != ABI:
    raise ImportError("kubeshark.hosts._exchange_native was built from other sources: build it again")
HAS_NATIVE = _native is not None

MAX_ANSWER = 512
_LATE, _INTERRUPTED = -1, -2  # as exchange.h numbers them


class Control:
    """Our end of a child's control socket (SOCK_SEQPACKET). Used by one thread at a time."""

    def __init__(self, ours: socket.socket) -> None:
        self._socket = ours
        self._answer: Any = _native.ffi.new("uint8_t[]", MAX_ANSWER) if _native else None

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, hook: int, length: int) -> None:
        """Send a command; OSError if nobody takes it. (Scripts are told milliseconds instead of a hook.)"""
        self._socket.send(COMMAND.pack(hook, length))

    def receive(self, seconds: float) -> bytes:
        """Return the next answer, b"" if the other end is gone; TimeoutError after so many seconds."""
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(MAX_ANSWER)
        except TimeoutError:
            raise
        except OSError:
            return b""

    def exchange(self, pid: int, hook: int, length: int, seconds: float) -> bytes:
        """Send a command to the process `pid` and return its answer, as `receive` does."""
        if not _native:
            return self._exchange(hook, length, seconds)
        lib, answer = _native.lib, self._answer
        number, ends = self._socket.fileno(), time.monotonic() + seconds
        said = lib.kx_exchange(number, pid, hook, length, math.ceil(seconds * 1000), answer, MAX_ANSWER)
        while said == _INTERRUPTED:  # here Python runs the signal's handler
            said = lib.kx_wait(number, max(0, math.ceil((ends - time.monotonic()) * 1000)), answer, MAX_ANSWER)
        if said == _LATE:
            raise TimeoutError
        return bytes(_native.ffi.buffer(answer, said))

    def _exchange(self, hook: int, length: int, seconds: float) -> bytes:
        try:
            self.send(hook, length)
        except OSError:
            return b""
        return self.receive(seconds)
