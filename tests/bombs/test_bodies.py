"""Bodies that are small on the wire and huge unpacked: shown up to their limit, in memory and time for no more."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import cramjam
import pytest
import zstandard

from tests.bombs._bounded import take
from tests.pipeline._traffic import Capture, Connection
from tests.pipeline.dissectors.messaging.test_kafka import produce, produced
from tests.pipeline.dissectors.messaging.test_kafka_records import batch, row
from tests.pipeline.dissectors.web.test_ws import BINARY, MASK, frame

pytestmark = pytest.mark.timeout(600)

BODY = 64 << 20
MIB, CPU_S = 400, 12
PIECE = 60_000  # what a packet holds
TOLD = re.compile("[tT]runcated|longer than|expected at|snappy: ")

HTTP: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", lambda data: gzip.compress(data, 6, mtime=0)),
    "many gzip members": ("gzip", lambda data: gzip.compress(data[: 1 << 16], 6, mtime=0) * (len(data) >> 16)),
    "deflate": ("deflate", zlib.compress),
    "brotli": ("br", lambda data: brotli.compress(data, quality=5)),
    "zstd": ("zstd", zstandard.compress),
    "gzip in gzip": ("gzip, gzip", lambda data: gzip.compress(gzip.compress(data, mtime=0), mtime=0)),
}


def say(send: Callable[[bytes], object], data: bytes) -> None:
    for at in range(0, len(data), PIECE):
        send(data[at : at + PIECE])


def http(codings: str, body: bytes, count: int) -> Capture:
    capture = Capture()
    for number in range(count):
        connection = Connection(capture, client_port=20_000 + number).open().ask()
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {codings}\r\nContent-Length: {len(body)}\r\n\r\n"
        say(connection.answer, head.encode() + body)
    return capture


def websocket(count: int) -> Capture:
    """Messages of one connection, each of which may refer to the bytes of those before it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    capture = Capture()
    connection = Connection(capture).open()
    offered = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
    connection.ask(b"GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + offered + b"\r\n")
    connection.answer(b"HTTP/1.1 101 Switching Protocols\r\n" + offered + b"\r\n")
    for _ in range(count):
        packed = packer.compress(bytes(BODY)) + packer.flush(zlib.Z_SYNC_FLUSH)
        say(connection.ask, frame(BINARY, packed[:-4], mask=MASK, rsv=4))
    return capture


def kafka(codec: int, compress: Callable[[bytes], bytes], count: int) -> Capture:
    capture = Capture()
    connection = Connection(capture, port=9092).open()
    bomb = batch(compress(row(0, None, b"a") + row(1, None, bytes(BODY))), 2, codec)
    for number in range(count):
        say(connection.ask, produce(number, records=bomb))
        connection.answer(produced(number))
    return capture


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


CAPTURES: dict[str, Callable[[], Capture]] = {
    **{f"HTTP {name}": (lambda c=c, pack=pack: http(c, pack(bytes(BODY)), 12)) for name, (c, pack) in HTTP.items()},
    "WebSocket": lambda: websocket(12),
    "Kafka gzip": lambda: kafka(1, gzip.compress, 8),
    "Kafka snappy": lambda: kafka(2, snappy, 3),
    "Kafka lz4": lambda: kafka(3, lambda data: bytes(cramjam.lz4.compress(data)), 8),
    "Kafka zstd": lambda: kafka(4, zstandard.compress, 8),
}


@pytest.mark.parametrize("name", CAPTURES)
def test_bodies_are_unpacked_up_to_their_limit(name: str, tmp_path: Path) -> None:
    (tmp_path / "bomb.pcap").write_bytes(CAPTURES[name]().pcap())
    shown = take("dissect", tmp_path / "bomb.pcap", "--output", "jsonl", out=tmp_path / "entries")
    assert (shown.code, shown.stderr) == (0, ""), shown
    assert shown.peak_mib < MIB, shown
    assert shown.cpu_s < CPU_S, shown
    protocol = {"http": "http", "websocket": "ws", "kafka": "kafka"}[name.split()[0].lower()]
    lines = (tmp_path / "entries").read_text().splitlines()
    told = [line for line in lines if json.loads(line)["protocol"]["name"] == protocol]
    assert len(told) >= 3
    assert any(map(TOLD.search, told)), told[-1][-2_000:]
