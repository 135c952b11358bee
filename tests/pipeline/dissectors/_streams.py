"""Streams made of bytes, for tests: the same protocol as the pipeline's, none of its code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from kubeshark.extension_api import Datagram, Ending, Endpoint

CLIENT, SERVER = Endpoint("192.0.2.1", 40000), Endpoint("192.0.2.2", 80)
SECOND = 1_000_000_000


@dataclass
class Side:
    data: memoryview
    gaps: Sequence[tuple[int, int, int]] = ()
    starts_midway: bool = False
    times: Sequence[tuple[int, int]] = ((0, 0),)  # (offset, ns), ascending
    ended: Ending = ""

    def packet_at(self, offset: int) -> int:
        return max((at for at, (start, _) in enumerate(self.times) if start <= offset), default=0)

    def time_at(self, offset: int) -> int:
        return max((time for start, time in self.times if start <= offset), default=0)


@dataclass
class FakeStream:
    transport: str = "tcp"
    client: Endpoint = CLIENT
    server: Endpoint = SERVER
    sides: tuple[Side, ...] = ()
    datagrams: Sequence[Datagram] = ()
    runs: Sequence[tuple[int, int, int]] = field(default_factory=list)

    def turns(self) -> Sequence[tuple[int, int, int]]:
        return self.runs


def tcp(
    client: bytes = b"",
    server: bytes = b"",
    *,
    port: int = 80,
    midway: bool = False,
    gaps: Mapping[int, Sequence[tuple[int, int, int]]] = MappingProxyType({}),
    ended: tuple[Ending, Ending] = ("", ""),
) -> FakeStream:
    """A TCP stream; the server's first byte comes after the client's. `gaps` is keyed by direction."""
    sides = (
        Side(memoryview(client), gaps.get(0, ()), midway, ((0, 0),), ended[0]),
        Side(memoryview(server), gaps.get(1, ()), midway, ((0, 1),), ended[1]),
    )
    runs = [(i, 0, len(side.data)) for i, side in enumerate(sides) if side.data]
    return FakeStream(server=Endpoint(SERVER.ip, port), sides=sides, runs=runs)


def udp(*payloads: tuple[int, bytes], port: int = 53, server: str = SERVER.ip, transport: str = "udp") -> FakeStream:
    """A stream of (direction, payload) datagrams, a second apart."""
    datagrams = [Datagram(way, n * SECOND, memoryview(data)) for n, (way, data) in enumerate(payloads)]
    client = Endpoint("2001:db8::1" if ":" in server else CLIENT.ip, CLIENT.port)
    return FakeStream(transport, client, Endpoint(server, port), (), datagrams)
