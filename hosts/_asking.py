"""The plugin's end of its channel to the broker, in the sandboxed child: a request goes out, an answer comes back.

A convenience, not a guard: the broker checks everything again (hosts/broker). What is refused here is refused early.
"""

from __future__ import annotations

import socket
import struct

from kubeshark.extension_api._manifest import HOOK_NUMBERS
from kubeshark.extension_api._services import MAX_MESSAGE, SERVICE_HOOKS, Status, pack

__all__ = ["LENGTH", "Asker"]

LENGTH = struct.Struct("<I")
"""Before each request and each answer."""

_HOOK_NAMES = {number: name for name, number in HOOK_NUMBERS.items()}


class Asker:
    """Used by the thread that runs the plugin. `hook` is the one that runs."""

    def __init__(self, channel: socket.socket | None, hooks: int) -> None:
        self._channel = channel
        self._hooks = hooks if channel else 0
        self.hook = 0

    @property
    def may_ask(self) -> bool:
        """Whether the hook that runs may ask at all."""
        return bool(self._hooks >> self.hook & 1)

    def ask(self, request: bytes | memoryview) -> bytes:
        """Return the answer to a request; both are messages of extension_api/_services.py."""
        if self._channel is None or not self.may_ask:
            hook = _HOOK_NAMES.get(self.hook, "this hook")
            text = f"cannot be asked for in {hook}, only in {', '.join(SERVICE_HOOKS)}"
            return pack(Status.REFUSED, [text.encode()])
        if len(request) > MAX_MESSAGE:
            text = f"a request of {len(request):,} bytes; at most {MAX_MESSAGE:,} are taken"
            return pack(Status.INVALID, [text.encode()])
        self._channel.sendall(LENGTH.pack(len(request)))
        self._channel.sendall(request)
        (length,) = LENGTH.unpack(self._receive(LENGTH.size))
        return self._receive(min(length, MAX_MESSAGE))

    def _receive(self, length: int) -> bytes:
        assert self._channel is not None
        received = bytearray()
        while len(received) < length:
            piece = self._channel.recv(min(length - len(received), 1 << 20))
            if not piece:
                raise OSError("the broker is gone")
            received += piece
        return bytes(received)
