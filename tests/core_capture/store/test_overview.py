"""A store by protocol and by capture, added up from its indexes."""

from __future__ import annotations

import struct

import pytest

from kubeshark.core_capture._records import Interface, RawBlock, SourceMetadata
from kubeshark.core_capture.store import Counters, Identity, Retention
from kubeshark.core_capture.store._overview import ProtocolRow, _lost
from tests.core_capture.store._bench import START_NS, Bench, batch, frames, records, udp
from tests.core_capture.store._live import NS, live, until


def statistics(interface: int, *options: tuple[int, bytes]) -> RawBlock:
    body = struct.pack("<III", interface, 0, 0)
    for code, value in options:
        body += struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
    return RawBlock(5, body, 0)


def test_protocols_by_port(bench: Bench) -> None:
    items = [udp("10.0.0.1", 4000 + n % 2, "10.0.0.2", 53, bytes(8)) for n in range(6)]
    items += [udp("10.0.0.1", 4000, "10.0.0.2", 123, bytes(8))]
    bench.fill(records(items[:4]))
    bench.fill(records(items[4:]))
    protocols = bench.open().overview().protocols
    assert [(row.transport, row.port, row.flows, row.packets) for row in protocols] == [(17, 53, 4, 6), (17, 123, 1, 1)]
    assert protocols[0].bytes == 6 * protocols[1].bytes
    assert isinstance(protocols[0], ProtocolRow)


def test_captures(bench: Bench) -> None:
    items = records(frames())
    with bench.writer(bench.source()) as writer:
        writer.add(batch(items))
    bench.fill(items, segment_bytes=3_000)
    overview = bench.open().overview()
    first, second = overview.captures
    assert (first.name, first.segments, first.packets, first.complete) == ("capture-1.pcap", 1, 48, False)
    assert (second.name, second.packets, second.complete) == ("capture-2.pcap", 48, True)
    assert second.segments > 1
    assert first.first_ns == START_NS
    assert overview.compression is not None
    assert overview.compression > 0.1
    assert (overview.lost_packets, overview.pruned, overview.rotation) == (None, 0, ())


def test_captures_of_ours_say_what_they_counted_and_what_is_not_sealed(bench: Bench) -> None:
    items = records(frames())
    with live(bench) as writer:
        writer.add(batch(items[:20]))
        writer.tick(0)
        writer.tick(300 * NS)
        until(lambda: writer.counters.segments == 1)
        writer.add(batch(items[20:], first=20))
        writer.note_counters(received=60, dropped=5, filtered=6, lost=1)
        writer.flush()
        overview = bench.open().overview()
        (row,) = overview.captures
        assert (row.packets, row.counters, row.lost_packets) == (48, Counters(60, 5, 6, 1, 48), 6)
        (log,) = overview.logs
        assert (log.packets, log.first_ns, log.problems) == (28, START_NS + 20_000, ())
        assert log.last_ns == START_NS + 47_000
        assert overview.log_problems == ()
        assert overview.compression == bench.open().overview().compression < 2  # of what is sealed
        note = next(found for found in bench.open().verify([bench.key.public]).findings)
        assert (note.kind, str(note)) == ("note", f"note: {log.name} is not sealed: 28 packets lie in its log")
        writer.finish()
    overview = bench.open().overview()
    assert (overview.captures[0].packets, overview.captures[0].counters, overview.logs) == (48, row.counters, ())


def test_lost_packets_where_the_source_says(bench: Bench) -> None:
    metadata = SourceMetadata("pcapng", interfaces=[Interface(1, 65_535)] * 2)
    eight = struct.pack("<Q", 8)
    metadata.blocks += [
        statistics(0, (5, struct.pack("<Q", 3))),
        statistics(0, (4, eight), (5, eight), (7, struct.pack("<Q", 2))),
        statistics(1, (5, struct.pack("<Q", 1))),
    ]
    with bench.writer(bench.source(metadata)) as writer:
        writer.add(batch(records(frames())))
        writer.finish()
    bench.fill()
    overview = bench.open().overview()
    assert sorted(row.lost_packets or 0 for row in overview.captures) == [0, 11]
    assert overview.lost_packets == 11


@pytest.mark.parametrize("cut", range(40))
def test_statistics_that_are_cut(cut: int) -> None:
    whole = statistics(0, (1, b"abc"), (5, struct.pack("<Q", 3))).body
    lost = _lost([RawBlock(5, whole[:cut], 0)])
    assert lost == ({(0, 0): 3} if cut >= len(whole) else {})


def test_snapshots_pruned_and_what_cannot_be_read(bench: Bench) -> None:
    bench.fill()
    bench.fill(records(frames(), start_ns=START_NS + 10**12))
    store = bench.open()
    store.prune(Retention(before_ns=START_NS + 10**11), key=bench.key)
    store.add_snapshot("mine", 0, 1)
    overview = store.overview()
    assert (overview.pruned, [snapshot.name for snapshot in overview.snapshots]) == (1, ["mine"])
    store.delete_snapshot("mine", recipients=[Identity.generate().recipient])
    assert bench.open().overview().snapshots == ()
    (index,) = bench.path.glob("2*.idx.age")
    index.write_bytes(b"?")
    assert bench.open().overview().protocols == ()
    (bench.path / "catalogue.age").unlink()
    assert bench.open().overview().captures == ()


def test_an_empty_store(bench: Bench) -> None:
    overview = bench.open().overview()
    assert (overview.protocols, overview.captures, overview.compression) == ((), (), None)
