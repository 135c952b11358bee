"""Packets and stores for the tests of the store."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kubeshark.core_capture._records import Interface, PacketExtra, RecordBatch, SourceMetadata
from kubeshark.core_capture.store import Identity, NodeKey, SourceInfo, Store, Writer
from kubeshark.core_capture.store.places._local import LocalBackend

START_NS = 1_700_000_000_000_000_000


def record(frame: bytes, time_ns: int, original: int | None = None) -> bytes:
    """Return one record of _records.py."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return struct.pack("<IIII", seconds, rest, len(frame), original or len(frame)) + frame


def ipv4(source: str, target: str, protocol: int, body: bytes) -> bytes:
    """Return an Ethernet frame; checksums are left out, nobody looks at them."""
    ends = b"".join(bytes(map(int, address.split("."))) for address in (source, target))
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + ends
    return bytes(12) + b"\x08\x00" + head + body


def udp(source: str, source_port: int, target: str, target_port: int, payload: bytes = b"") -> bytes:
    return ipv4(source, target, 17, struct.pack(">HHHH", source_port, target_port, 8 + len(payload), 0) + payload)


def tcp(
    source: str, source_port: int, target: str, target_port: int, seq: int, flags: int, payload: bytes = b""
) -> bytes:
    head = struct.pack(">HHIIBBHHH", source_port, target_port, seq, 0, 0x50, flags, 1000, 0, 0)
    return ipv4(source, target, 6, head + payload)


ARP = b"\xff" * 12 + b"\x08\x06" + bytes(28)


def frames(flows: int = 5, packets: int = 8, payload: int = 100) -> list[bytes]:
    """Return frames of several flows, interleaved, with packets without a flow among them."""
    made = []
    for number in range(packets):
        for flow in range(flows):
            client, server = f"10.0.{flow % 3}.{flow + 1}", f"10.1.0.{flow % 2 + 1}"
            body = bytes([flow, number]) * (payload // 2)
            if flow % 2:
                made.append(udp(client, 40_000 + flow, server, 53, body))
            elif number == 0:
                made.append(tcp(client, 50_000 + flow, server, 80, 1000 * flow, 0x02))
            else:
                made.append(tcp(server, 80, client, 50_000 + flow, 7 + number * payload, 0x18, body))
        made.append(ARP)
    return made


def records(packets: Iterable[bytes], *, start_ns: int = START_NS, step_ns: int = 1_000) -> list[bytes]:
    return [record(frame, start_ns + at * step_ns) for at, frame in enumerate(packets)]


def batch(
    items: Sequence[bytes],
    *,
    first: int = 0,
    link_type: int = 1,
    ordinals: Sequence[int] | None = None,
    extras: dict[int, PacketExtra] | None = None,
) -> RecordBatch:
    return RecordBatch(link_type, b"".join(items), ordinals or range(first, first + len(items)), extras or {})


@dataclass
class Bench:
    """A store in a folder, with somebody who reads it and a node that writes it."""

    path: Path | str  # a folder, or a URL
    me: Identity
    key: NodeKey
    sources: int = field(default=0)

    def open(self) -> Store:
        return Store.open(self.path, identities=[self.me], create=True)

    @property
    def backend(self) -> LocalBackend:
        return LocalBackend(Path(self.path))

    def source(self, metadata: SourceMetadata | None = None, link_type: int = 1) -> SourceInfo:
        self.sources += 1
        metadata = metadata or SourceMetadata(interfaces=[Interface(link_type, 65_535)])
        return SourceInfo(f"capture-{self.sources}.pcap", f"{self.sources:064x}", 1000, metadata)

    def writer(
        self, source: SourceInfo | None = None, *, segment_bytes: int = 1 << 20, store: Store | None = None
    ) -> Writer:
        return (store or self.open()).writer(
            [self.me.recipient],
            source=source or self.source(),
            node="node-a",
            key=self.key,
            segment_bytes=segment_bytes,
        )

    def fill(self, items: Sequence[bytes] | None = None, *, segment_bytes: int = 1 << 20) -> Store:
        """Write one source and return the store."""
        items = records(frames()) if items is None else items
        with self.writer(segment_bytes=segment_bytes) as writer:
            for at in range(0, len(items), 10):
                writer.add(batch(items[at : at + 10], first=at))
            writer.finish()
        return self.open()

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(Path(self.path).iterdir())}
