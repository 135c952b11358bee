"""Captures over pipes and TCP: as they come, all of them, and one sender's nonsense is its own."""

from __future__ import annotations

import gzip
import io
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeshark.core_capture import RecordBatch
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.live import StreamSource, _streams, connect, listen, standard_input
from kubeshark.errors import CaptureError, InputError, UsageError
from tests.core_capture.live._cable import frame, number_of, packets

HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)


def record(number: int) -> bytes:
    data = frame(number)
    return struct.pack("<IIII", 1_700_000_000, number, len(data), len(data)) + data


def read_until(source: StreamSource, count: int) -> list[RecordBatch]:
    ends, found = time.monotonic() + 60, []
    while sum(batch.count for batch in found) < count:
        assert time.monotonic() < ends, f"{count} packets did not come"
        if batch := source.read(0.1):
            found.append(batch)
    return found


def numbers(batches: list[RecordBatch]) -> list[int]:
    return [number_of(data) for _, _, data in packets(batches)]


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress], ids=["plain", "gzip"])
def test_packets_of_a_pipe_are_there_before_its_end(pack: Callable[[bytes], bytes]) -> None:
    theirs, ours = os.pipe()
    with standard_input("pipe", theirs) as source:
        os.write(ours, pack(HEADER + record(0))[:70])
        os.write(ours, pack(HEADER + record(0))[70:])
        assert numbers(read_until(source, 1)) == [0]
        os.write(ours, pack(record(1) + record(2)))
        assert numbers(read_until(source, 2)) == [1, 2]
        assert not source.is_finished
        os.close(ours)
        while not source.is_finished:
            assert source.read(0.1) is None
        assert source.counters()[0].delivered == 3
        assert source.metadata.format == "pcap"
        assert source.metadata.interfaces[0].snaplen == 65535
    os.close(theirs)


def test_a_silent_pipe_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = os.pipe()
    with standard_input("pipe", theirs) as source:
        os.write(ours, HEADER + record(0))
        assert numbers(read_until(source, 1)) == [0]
        source.stop()
        os.write(ours, record(1))  # what the sender still had
        assert numbers(read_until(source, 1)) == [1]
        while not source.is_finished:
            source.read(0.1)
    os.close(ours)
    os.close(theirs)


def test_every_cut_gives_the_same_packets(root: Path) -> None:
    whole = (root / "examples" / "captures" / "sample.pcapng").read_bytes()
    with open_capture(io.BytesIO(whole), name="x") as reader:
        expected = [data for batch in reader for _, _, data in packets([batch])]
    theirs, ours = os.pipe()

    def write() -> None:
        for at in range(0, len(whole), 1237):
            os.write(ours, whole[at : at + 1237])
        os.close(ours)

    writer = threading.Thread(target=write)
    writer.start()
    with standard_input("pipe", theirs) as source:
        found = read_until(source, len(expected))
        assert [data for _, _, data in packets(found)] == expected
        with open_capture(io.BytesIO(whole), name="x") as reader:
            list(reader)
            assert source.metadata.interfaces == reader.metadata.interfaces
    writer.join()
    os.close(theirs)


def test_what_is_no_capture_is_said() -> None:
    theirs, ours = os.pipe()
    os.write(ours, b"GET / HTTP/1.1\r\n")
    os.close(ours)
    with standard_input("pipe", theirs) as source, pytest.raises(InputError, match="pipe: is neither pcap nor pcapng"):
        while True:
            source.read(0.1)
    os.close(theirs)


def test_several_senders_at_once_and_one_of_them_talks_nonsense() -> None:
    source, port = listen("0")
    with source:
        senders = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        senders[0].sendall(HEADER + b"".join(record(n) for n in range(50)))
        found = read_until(source, 50)
        senders[1].sendall(b"nonsense, not a capture")
        senders[2].sendall(HEADER.replace(struct.pack("<I", 65535), struct.pack("<I", 77)) + record(100) + record(101))
        found += read_until(source, 2)
        senders[0].sendall(record(50))
        found += read_until(source, 1)
        assert numbers(found) == [*range(50), 100, 101, 50]
        names = [f"127.0.0.1:{sender.getsockname()[1]}" for sender in senders]
        assert [one.name for one in source.metadata.interfaces] == [names[0], names[2]]
        assert [found[-2].extras[at].interface for at in range(found[-2].count)] == [1] * found[-2].count
        assert found[-1].extras == {}
        for sender in senders:
            sender.close()
        said: list[str] = []
        while sum("has ended" in text for text in said) < 3:
            source.read(0.1)
            said += source.take_notices()
        assert f"{names[0]} has ended: 51 packets" in said
        assert f"{names[1]}: is neither pcap nor pcapng: {_convert()}" in said
        assert not source.is_finished
        source.stop()
        while not source.is_finished:
            source.read(0.1)


def _convert() -> str:
    from kubeshark.core_capture.files._open import CONVERT

    return CONVERT


def test_senders_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_streams, "MAX_SENDERS", 2)
    source, port = listen("127.0.0.1:0")
    with source:
        first = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
        for sender in first:
            sender.sendall(HEADER + record(1))
        read_until(source, 2)
        with socket.create_connection(("127.0.0.1", port)) as third:
            assert third.recv(1) == b""
        assert any("was refused" in text for text in source.take_notices())
        for sender in first:
            sender.close()


def test_a_sender_that_is_not_read_waits() -> None:
    source, port = listen("0")
    with source, socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(HEADER)
        sender.settimeout(0.5)
        sent = 0
        piece = b"".join(record(n) for n in range(1000))
        with pytest.raises(TimeoutError):
            for _ in range(5000):
                sender.sendall(piece)
                sent += len(piece)
        assert sent < 200 << 20


def test_a_server_that_sends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with connect(f"127.0.0.1:{port}") as source:
            there, _ = server.accept()
            there.sendall(HEADER + record(5))
            assert numbers(read_until(source, 1)) == [5]
            there.close()
            while not source.is_finished:
                source.read(0.1)


def test_addresses() -> None:
    assert _streams.parse_address("57012") == ("127.0.0.1", 57012)
    assert _streams.parse_address("[::1]:5") == ("::1", 5)
    assert _streams.parse_address("gateway:5") == ("gateway", 5)
    for text in ("", "x", "host:", "host:70000", "host:-1"):
        with pytest.raises(UsageError, match="is no address"):
            _streams.parse_address(text)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CaptureError, match="cannot listen"):
        listen(f"127.0.0.1:{taken.getsockname()[1]}")
    with pytest.raises(CaptureError, match="cannot connect"):
        connect("127.0.0.1:1")
