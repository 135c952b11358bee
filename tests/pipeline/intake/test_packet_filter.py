"""Packet filters of an import: what is dropped is counted, what is marked says by whom, and nobody waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture import PacketExtra, RecordBatch
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.store import Identity
from kubeshark.extension_api import Packet, PacketVerdict, hookimpl
from kubeshark.pipeline import Pipeline
from kubeshark.pipeline.intake import _imports
from kubeshark.pipeline.intake._packet_filter import PacketFilter
from tests.core_capture.reference._packets import record
from tests.pipeline._plugins import Foreign, with_plugins
from tests.pipeline._traffic import Capture, Connection

KEEP, DROP, MARK = PacketVerdict.KEEP, PacketVerdict.DROP, PacketVerdict.MARK
Decide = Callable[[Packet], PacketVerdict | None]


class Filtering(Foreign):
    def __init__(self, decide: Decide) -> None:
        super().__init__()
        self.decide = decide
        self.batches: list[int] = []

    @hookimpl
    def packet_filter(self, packets: Sequence[Packet]) -> Sequence[PacketVerdict | None]:
        self.batches.append(len(packets))
        return [self.decide(packet) for packet in packets]


def batch(payloads: Sequence[bytes], extras: dict[int, PacketExtra] | None = None) -> RecordBatch:
    records = [record(payload, 1_000_000_007 * (at + 1), 99) for at, payload in enumerate(payloads)]
    return RecordBatch(1, b"".join(records), range(10, 10 + len(payloads)), extras or {})


def by_first(packet: Packet) -> PacketVerdict | None:
    return {b"d": DROP, b"m": MARK, b"?": None}.get(bytes(packet.data[:1]), KEEP)


def applied(calls: dict[str, Any], given: RecordBatch) -> tuple[RecordBatch, PacketFilter]:
    packet_filter = PacketFilter(calls)
    return packet_filter.apply(given), packet_filter


def test_verdicts() -> None:
    first = Filtering(by_first)
    given = batch([b"keep", b"drop", b"mark", b"?", b"k2"], {4: PacketExtra(3), 2: PacketExtra(options=b"\0\0\0\0")})
    done, packet_filter = applied({"first@1": first.packet_filter}, given)
    assert list(done.ordinals) == [10, 12, 13, 14]
    assert done.data == given.data[:20] + given.data[40:]
    marked = b"\1\0\x18\0marked by plugin first@1"
    assert done.extras == {1: PacketExtra(options=marked + b"\0\0\0\0"), 3: PacketExtra(3)}
    stats = packet_filter.stats["first@1"]
    assert (stats.dropped, stats.marked, stats.unfiltered) == (1, 1, 1)
    assert packet_filter.problems() == ["plugin first@1: 1 packets are stored without its filter"]


def test_nothing_to_do_is_nothing_done() -> None:
    given = batch([b"a", b"b"])
    assert applied({"x": Filtering(lambda _: KEEP).packet_filter}, given)[0] is given


def test_the_second_sees_what_the_first_left() -> None:
    second = Filtering(lambda packet: DROP if packet.length != 99 else MARK)
    done, packet_filter = applied(
        {"a": Filtering(by_first).packet_filter, "b": second.packet_filter}, batch([b"d", b"m"] * 300)
    )
    assert (done.count, second.batches, packet_filter.dropped) == (300, [256, 44], 300)
    assert done.extras[0].options.count(b"marked by plugin") == 2


def raising(packets: Sequence[Packet]) -> list[PacketVerdict]:
    raise ValueError("no")


@pytest.mark.parametrize(
    ("call", "reason"),
    [(raising, "ValueError: no"), (lambda packets: [], "answered for 0 of 3 packets")],
)
def test_a_failure_keeps_the_packets(call: Any, reason: str) -> None:
    given = batch([b"d", b"e", b"f"])
    done, packet_filter = applied({"x": call}, given)
    assert done is given
    assert packet_filter.problems() == [f"plugin x: 3 packets are stored without its filter: {reason}"]


@given(st.lists(st.sampled_from([b"d", b"m", b"?", b"k"]), max_size=20))
def test_every_packet_is_kept_or_counted(payloads: list[bytes]) -> None:
    done, packet_filter = applied({"x": Filtering(by_first).packet_filter}, batch(payloads))
    assert done.count + packet_filter.dropped == len(payloads)
    assert done.count == len(list(done.ordinals))
    assert {at: bool(extra.options) for at, extra in done.extras.items()} == {
        at: True for at, kept in enumerate(p for p in payloads if p != b"d") if kept == b"m"
    }


@pytest.fixture
def pcap(tmp_path: Path) -> Path:
    capture = Capture()
    for at in range(6):
        Connection(capture, client_port=40_000 + at).open().ask().answer()
    (tmp_path / "a.pcap").write_bytes(capture.pcap())
    return tmp_path / "a.pcap"


def test_an_import(pcap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Totals are exact, a repeated import adds nothing, and an export shows the marks."""
    monkeypatch.setattr(_imports, "installed_hooks", lambda: frozenset({"packet_filter"}))
    odd = Filtering(lambda packet: DROP if packet.data[21] % 2 else MARK)  # last byte of the client's port, in raw IP
    identity = Identity.generate()
    with (
        with_plugins(odd=odd) as plugins,
        Pipeline.open(tmp_path / "store", identities=[identity], plugins=plugins) as pipeline,
    ):
        result = pipeline.import_file(pcap)
        assert result.packets + result.dropped == 24
        assert 0 < result.dropped < 24
        again = pipeline.import_file(pcap)
        assert (again.packets, again.skipped, again.dropped) == (0, result.packets, 0)
        pipeline.export("", tmp_path / "out.pcapng", format="pcapng")
        assert pipeline.info()["packets"] == result.packets
    exported = (tmp_path / "out.pcapng").read_bytes()
    assert exported.count(b"marked by plugin odd@1.0.0") == result.packets
    with open_capture(tmp_path / "out.pcapng") as reader:
        assert sum(batch.count for batch in reader) == result.packets


def test_an_import_without_such_plugins_loads_none(pcap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "none"))
    with Pipeline.open(tmp_path / "store", identities=[Identity.generate()]) as pipeline:
        assert pipeline.import_file(pcap).packets == 24
        assert pipeline._plugins is None
    assert (tmp_path / "store").is_dir()
