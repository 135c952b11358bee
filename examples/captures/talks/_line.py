"""A plain connection with a script: say this, hear that."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from network import LAPTOP

PATIENCE_S = 5
TCP_REPAIR = 19  # linux/tcp.h; a socket in this mode closes in silence


class Line:
    """A TCP connection that sends what it is told and waits for what it expects."""

    def __init__(self, server: tuple[str, int], client: str) -> None:
        self.socket = socket.create_connection(server, PATIENCE_S, (client, 0))
        self._received = bytearray()

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hear(self, end: bytes) -> bytes:
        """Wait for `end`; return everything up to it."""
        while end not in self._received:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError(f"closed before {end!r}: {bytes(self._received)!r}")
            self._received += piece
        size = self._received.index(end) + len(end)
        heard = bytes(self._received[:size])
        del self._received[:size]
        return heard

    def ask(self, data: bytes, end: bytes) -> bytes:
        self.say(data)
        return self.hear(end)

    def vanish(self) -> None:
        """Go without a word, as when the power fails: the other side never hears of it. Needs root."""
        self.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        self.socket.close()


@contextmanager
def line(server: str, port: int, client: str = LAPTOP) -> Iterator[Line]:
    connection = Line((server, port), client)
    try:
        yield connection
    finally:
        connection.socket.close()
