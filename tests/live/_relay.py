"""A relay between a real client and a real server that records what passes as a capture would show it.

It needs no privileges, so live tests run anywhere: the bytes, their order and their pauses are real; the IP, TCP and
UDP headers around them are made here.

    with Relay(server_port, shown_port=5432) as relay:
        ...  # a client talks to 127.0.0.1:relay.port
    entries = relay.entries("postgresql")
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from kubeshark.pipeline import Entry, FileDissection, Plugins
from tests.core_capture.reference._packets import RAW, record, tcp, udp

__all__ = ["Relay"]

CLIENT_IP, SERVER_IP = "192.0.2.10", "192.0.2.20"
PCAP_HEADER = pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, RAW)
SEGMENT = 1400
CHUNK = 1 << 16
FIRST_CLIENT_PORT = 40_000
SETTLE = 0.05  # what a server says last may still be on its way when its client is gone
CLIENT, SERVER = 0, 1


class Relay:
    """Listens on `port` and passes everything on to 127.0.0.1:`server_port`; the capture shows `shown_port`.

    `datagrams` relays UDP instead of TCP. Leaving the block ends the relay; then `pcap` and `entries` are complete.
    """

    def __init__(self, server_port: int, *, shown_port: int = 0, datagrams: bool = False) -> None:
        self._server_port = server_port
        self._shown_port = shown_port or server_port
        self._packets: list[bytes] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._clients = 0
        kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
        self._listener = socket.socket(socket.AF_INET, kind)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        if not datagrams:
            self._listener.listen(16)
        self.port: int = self._listener.getsockname()[1]
        self._run = self._relay_datagrams if datagrams else self._accept

    def __enter__(self) -> Self:
        self._spawn(self._run)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        time.sleep(SETTLE)
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=10)
        self._listener.close()

    @property
    def pcap(self) -> bytes:
        """The capture, as a file."""
        return PCAP_HEADER + b"".join(self._packets)

    def entries(self, kfl: str = "", plugins: Plugins | None = None) -> list[Entry]:
        """Return the entries of the capture that match."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "live.pcap"
            path.write_bytes(self.pcap)
            dissection = FileDissection([str(path)], kfl, plugins=plugins or Plugins())
            entries = list(dissection)
            assert not dissection.problems, dissection.problems
            return entries

    def _spawn(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            self._spawn(lambda client=client: self._relay(client))  # type: ignore[misc]

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            connection = _Connection(self._record, self._next_client(), self._shown_port)
            back = threading.Thread(target=self._pump, args=(SERVER, server, client, connection), daemon=True)
            back.start()
            self._pump(CLIENT, client, server, connection)
            back.join()

    def _next_client(self) -> int:
        self._clients += 1
        return FIRST_CLIENT_PORT + self._clients

    def _pump(self, way: int, source: socket.socket, sink: socket.socket, connection: _Connection) -> None:
        source.settimeout(0.05)
        while True:
            try:
                data = source.recv(CHUNK)
            except TimeoutError:
                if self._stopping.is_set():
                    return
                continue
            except OSError:
                return
            if not data:
                break
            connection.send(way, data)
            with contextlib.suppress(OSError):  # the other end may be gone: what was sent was sent
                sink.sendall(data)
        connection.end(way)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _relay_datagrams(self) -> None:
        servers: dict[tuple[str, int], tuple[socket.socket, int]] = {}
        while not self._stopping.is_set():
            try:
                data, client = self._listener.recvfrom(CHUNK)
            except TimeoutError:
                continue
            if client not in servers:
                server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                server.connect(("127.0.0.1", self._server_port))
                servers[client] = (server, self._next_client())
                self._spawn(lambda server=server, client=client: self._answer(server, client, servers[client][1]))  # type: ignore[misc]
            server, port = servers[client]
            self._record(lambda port=port, data=data: udp(data, (port, self._shown_port), (CLIENT_IP, SERVER_IP)))  # type: ignore[misc]
            server.send(data)

    def _answer(self, server: socket.socket, client: tuple[str, int], port: int) -> None:
        server.settimeout(0.05)
        with server:
            while not self._stopping.is_set():
                try:
                    data = server.recv(CHUNK)
                except TimeoutError:
                    continue
                except OSError:
                    return
                packet = udp(data, (self._shown_port, port), (SERVER_IP, CLIENT_IP))
                self._record(lambda packet=packet: packet)  # type: ignore[misc]
                self._listener.sendto(data, client)

    def _record(self, make: Callable[[], bytes]) -> None:
        with self._lock:
            self._packets.append(record(make(), time.time_ns()))


class _Connection:
    """A TCP connection as a capture shows it."""

    def __init__(self, write: Callable[[Callable[[], bytes]], None], client_port: int, server_port: int) -> None:
        self._write = write
        self._ports = (client_port, server_port)
        self._next = [1_000, 900_000]
        self._packet(CLIENT, b"", "S")
        self._packet(SERVER, b"", "SA")

    def send(self, way: int, data: bytes) -> None:
        for at in range(0, len(data), SEGMENT):
            self._packet(way, data[at : at + SEGMENT], "PA")

    def end(self, way: int) -> None:
        self._packet(way, b"", "FA")

    def _packet(self, way: int, data: bytes, flags: str) -> None:
        ports = self._ports if way == CLIENT else self._ports[::-1]
        ends = (CLIENT_IP, SERVER_IP) if way == CLIENT else (SERVER_IP, CLIENT_IP)

        def make() -> bytes:  # under the relay's lock, so that sequence numbers follow the order of the capture
            packet = tcp(data, self._next[way], flags, ports, ends)
            self._next[way] += len(data) + ("S" in flags) + ("F" in flags)
            return packet

        self._write(make)
