"""Captures into a store: everything is counted, whatever plugins and the disk do, and limits are exact."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kubeshark.core_capture import Interface, RecordBatch, SourceMetadata
from kubeshark.core_capture.live import Counters
from kubeshark.core_capture.store import Store, create_identity
from kubeshark.errors import CaptureError
from kubeshark.extension_api import Packet, PacketVerdict
from kubeshark.pipeline import CaptureLimits, Pipeline
from kubeshark.pipeline.intake._capture import Capture
from tests.core_capture.live._cable import FAR, PORT, Sender, frame, packets


class Made:
    """A source of made packets: as many batches as it is told, then it is finished."""

    name = "made"

    def __init__(self, batches: int, packets_each: int = 100, *, waits: bool = False, fails: bool = False) -> None:
        self.metadata = SourceMetadata("pcapng", interfaces=[Interface(1, 65535, 10**9, name="made0")])
        self.problems: list[str] = []
        self.waits = waits
        self.is_finished = False
        self._left, self._each, self._fails = batches, packets_each, fails
        self._ordinal = 0

    def read(self, timeout_s: float) -> RecordBatch | None:
        if self._fails and self._left == 1:
            raise CaptureError("the cable burnt")
        if not self._left:
            self.is_finished = True
            return None
        self._left -= 1
        first, self._ordinal = self._ordinal, self._ordinal + self._each
        data = b"".join(record(number) for number in range(first, self._ordinal))
        return RecordBatch(1, data, range(first, self._ordinal))

    def stop(self) -> None:
        self._left = 0

    def close(self) -> None:
        self.stop()

    def counters(self) -> list[Counters]:
        return [Counters(received=self._ordinal, delivered=self._ordinal)]

    def take_notices(self) -> list[str]:
        return []


def record(number: int, size: int = 100) -> bytes:
    data = frame(number, size=size)
    return struct.pack("<IIII", 1_700_000_000 + number // 1000, number, len(data), len(data)) + data


class Plugins:
    """What a capture asks of plugins."""

    def __init__(self, *filters: Any) -> None:
        self.packet_filters = {f"p{number}": one for number, one in enumerate(filters)}
        self.segment_sealed: dict[str, Any] = {}

    def take_problems(self) -> list[str]:
        return []


@pytest.fixture
def store(tmp_path: Path) -> Store:
    identity = create_identity(tmp_path / "id.age")
    return Store.open(tmp_path / "store", identities=[identity], create=True)


def capture(
    store: Store, source: Made, *, limits: CaptureLimits | None = None, plugins: Any = None, **options: Any
) -> Any:
    to = [str(store.identities[0].recipient)]
    return Capture(store, to, source, limits=limits or CaptureLimits(), plugins=plugins, **options).run()


def total(result: Any) -> int:
    return int(result.dropped + result.damaged + result.lost + result.beyond + result.filtered + result.stored)


def test_all_is_stored_and_counted(store: Store) -> None:
    seen: list[RecordBatch] = []
    progress: list[Any] = []
    result = capture(store, Made(20), on_batch=seen.append, on_progress=progress.append)
    assert (result.received, result.stored, result.acknowledged, result.bytes) == (2000, 2000, 2000, 200_000)
    assert (result.segments, result.problems) == (1, ())
    assert result.flows == 64
    assert len(packets(seen)) == 2000
    assert progress[-1].stored == 2000
    (info,) = store.segments()
    assert (info.packets, info.source.complete) == (2000, True)


@pytest.mark.parametrize(
    ("limits", "stored"),
    [
        (CaptureLimits(packets=250), 250),
        (CaptureLimits(packets=200), 200),
        (CaptureLimits(bytes=25_000), 250),
        (CaptureLimits(bytes=25_001), 251),
        (CaptureLimits(packets=1), 1),
        (CaptureLimits(packets=90, bytes=25_000), 90),
    ],
)
def test_limits_are_exact(store: Store, limits: CaptureLimits, stored: int) -> None:
    result = capture(store, Made(20), limits=limits)
    assert result.stored == stored
    assert result.received == total(result)
    assert store.segments()[0].packets == stored


def test_a_capture_ends_in_time(store: Store) -> None:
    class Idle(Made):
        def read(self, timeout_s: float) -> RecordBatch | None:
            time.sleep(min(timeout_s, 0.05))
            self.is_finished = not self._left
            return None

    began = time.monotonic()
    assert capture(store, Idle(1), limits=CaptureLimits(duration_s=0.2)).stored == 0
    assert time.monotonic() - began >= 0.2


def test_plugins_filter_within_their_time(store: Store) -> None:
    def slow(packets: Sequence[Packet]) -> list[PacketVerdict]:
        time.sleep(0.02)
        return [PacketVerdict.DROP] * len(packets)

    result = capture(store, Made(4, 1000), plugins=Plugins(slow), filter_budget_s=0.03)
    assert 0 < result.filtered < 4000
    assert result.filtered + result.stored == result.received == 4000
    assert "no time left" in result.problems[0]


def test_a_slow_disk_makes_packets_lost_and_never_the_reader_wait(store: Store) -> None:
    result = capture(store, Made(50), on_batch=lambda _: time.sleep(0.01), queue_bytes=30_000)
    assert result.lost > 0
    assert result.received == total(result) == 5000
    overview = store.overview()
    assert overview.captures[0].lost_packets == result.lost


def test_a_sender_that_can_wait_loses_nothing(store: Store) -> None:
    result = capture(store, Made(50, waits=True), on_batch=lambda _: time.sleep(0.002), queue_bytes=30_000)
    assert (result.lost, result.stored) == (0, 5000)


def test_a_sender_waits_for_the_disk(store: Store) -> None:
    result = capture(store, Made(200, waits=True), segment_bytes=30_000)  # sealing takes longer than reading
    assert (result.stored, result.lost, result.acknowledged) == (20_000, 0, 20_000)


def test_a_source_that_fails_is_said_and_what_came_is_kept(store: Store) -> None:
    with pytest.raises(CaptureError, match="burnt"):
        capture(store, Made(5, fails=True))
    assert sum(info.packets for info in store.segments()) == 400


def test_an_interface_through_the_facade(sender: Sender, store: Store, tmp_path: Path) -> None:
    from kubeshark.core_capture.live import LiveOptions, LiveSource

    with Pipeline.open(tmp_path / "store", identities=store.identities) as pipeline:
        with LiveSource([FAR], LiveOptions(filter=f"udp port {PORT}")) as source:
            result: list[Any] = []
            running = threading.Thread(target=lambda: result.append(pipeline.capture(source)))
            running.start()
            sender.send(frame(number) for number in range(3000))
            while source.counters()[0].received < 3000:
                time.sleep(0.01)
            source.stop()
            running.join()
        assert (result[0].received, result[0].stored, result[0].lost) == (3000, 3000, 0)
        done = pipeline.capture(FAR, limits=CaptureLimits(duration_s=0.1))
        assert done.stored == 0
        assert len(list(pipeline.query("udp_conn"))) == 64
