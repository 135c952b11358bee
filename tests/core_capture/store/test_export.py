"""What was captured comes out again: packets, times, order, and what pcapng says about them."""

from __future__ import annotations

import io
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.core_capture._predicate import PortBetween
from kubeshark.core_capture._records import Interface, PacketExtra, RawBlock, SourceMetadata
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.store import SegmentReader, SourceInfo, export
from kubeshark.errors import UsageError
from tests.core_capture.store._bench import ARP, START_NS, Bench, batch, frames, record, records, udp


def exported(bench: Bench, **arguments: object) -> bytes:
    out = io.BytesIO()
    export(bench.open(), out, form="pcap", **arguments)  # type: ignore[arg-type]
    return out.getvalue()[24:]


def dns(segment: SegmentReader) -> np.ndarray:
    return segment.choose(PortBetween("dst", 53, 53))


def is_dns(item: bytes) -> bool:
    return item[39] == 17 and b"\x00\x35" in item[50:54]


TIMES = {
    "ascending": lambda at: START_NS + at,
    "equal": lambda at: START_NS,
    "pairs": lambda at: START_NS + at // 2,
    "backwards": lambda at: START_NS - at * 1_000,
    "jumping": lambda at: START_NS + random.Random(at).randrange(10**9),
}


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("segment_bytes", [1_000, 5_000, 1 << 20])
def test_capture_order_is_kept(times: str, segment_bytes: int, bench: Bench) -> None:
    items = [record(frame, TIMES[times](at)) for at, frame in enumerate(frames())]
    bench.fill(items, segment_bytes=segment_bytes)
    assert exported(bench) == b"".join(items)
    assert exported(bench, select=dns) == b"".join(filter(is_dns, items))


FRAMES = st.sampled_from(frames()) | st.binary(max_size=80)
MOMENTS = st.integers(0, 3) | st.integers(0, 2**32 * 10**9 - 1)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    packets=st.lists(st.tuples(FRAMES, MOMENTS, st.integers(0, 2)), max_size=40),
    segment_bytes=st.integers(100, 3000),
    cuts=st.integers(1, 9),
    is_orderly=st.booleans(),
    window=st.tuples(MOMENTS, MOMENTS),
)
def test_whatever_goes_in_comes_out(
    packets: list[tuple[bytes, int, int]],
    segment_bytes: int,
    cuts: int,
    is_orderly: bool,
    window: tuple[int, int],
    bench: Bench,
) -> None:
    """Arbitrary frames at arbitrary times, with holes in the ordinals; or in order of time, many at the same."""
    shutil.rmtree(bench.path, ignore_errors=True)
    if is_orderly:
        moments = sorted(moment for _frame, moment, _hole in packets)
        packets = [(frame, moment, 0) for (frame, _moment, _hole), moment in zip(packets, moments, strict=True)]
    items = [record(frame, moment) for frame, moment, _hole in packets]
    ordinals = np.cumsum([1 + hole for _frame, _moment, hole in packets]).tolist()
    with bench.writer(segment_bytes=segment_bytes) as writer:
        for at in range(0, len(items), cuts):
            writer.add(batch(items[at : at + cuts], ordinals=ordinals[at : at + cuts]))
        writer.finish()
    assert exported(bench) == b"".join(items)
    since, until = window
    inside = [item for item, (_, moment, _) in zip(items, packets, strict=True) if since <= moment <= until]
    assert exported(bench, since_ns=since, until_ns=until) == b"".join(inside)
    assert bench.open().verify().is_sound


def test_the_capture_order_is_written_only_where_it_is_needed(bench: Bench) -> None:
    for times, needed in (("ascending", ""), ("equal", "ties"), ("backwards", "ordinals")):
        store = bench.fill([record(frame, TIMES[times](at)) for at, frame in enumerate(frames())])
        newest = max(store.segments(), key=lambda info: info.name[-4:])
        with store.open_segment(newest.name) as segment:
            held = [name for name in ("ties", "ordinals") if getattr(segment.extras, name) is not None]
            assert held == [needed] * bool(needed)


def test_times_bound_packets_not_flows(bench: Bench) -> None:
    items = records(frames(), step_ns=10)
    bench.fill(items, segment_bytes=2_000)
    assert exported(bench, since_ns=START_NS + 100, until_ns=START_NS + 200) == b"".join(items[10:21])
    assert exported(bench, until_ns=START_NS - 1) == b""
    assert exported(bench, since_ns=2**70) == b""


def test_several_sources_are_merged_by_time(bench: Bench) -> None:
    first = records([udp("10.0.0.1", 1, "10.0.0.2", 53, bytes([n])) for n in range(50)], step_ns=20)
    second = records(
        [udp("10.0.0.3", 1, "10.0.0.2", 53, bytes([n])) for n in range(50)], start_ns=START_NS + 5, step_ns=10
    )
    bench.fill(first, segment_bytes=700)
    bench.fill(second, segment_bytes=900)
    merged = sorted(first + second, key=lambda item: (item[:4][::-1], item[4:8][::-1]))
    assert exported(bench) == b"".join(merged)


def test_one_link_type_in_a_pcap(bench: Bench) -> None:
    source = bench.source(SourceMetadata("pcapng", interfaces=[Interface(1, 0), Interface(113, 0)]))
    with bench.writer(source) as writer:
        items = records(frames())
        writer.add(batch(items[::2], ordinals=list(range(0, len(items), 2))))
        one = {at: PacketExtra(interface=1) for at in range(len(items[1::2]))}
        writer.add(batch(items[1::2], ordinals=list(range(1, len(items), 2)), link_type=113, extras=one))
        writer.finish()
    out = io.BytesIO()
    with pytest.raises(UsageError, match=r"2 link types \(1, 113\).*--format pcapng"):
        export(bench.open(), out, form="pcap")
    assert out.getvalue() == b""
    export(bench.open(), out, form="pcapng")
    with open_capture(io.BytesIO(out.getvalue())) as reader:
        got = {o: item for b in reader for o, item in zip(b.ordinals, split(b.data), strict=True)}
    assert [got[at] for at in range(len(items))] == items


def split(data: bytes) -> list[bytes]:
    items, at = [], 0
    while at < len(data):
        end = at + 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        items.append(data[at:end])
        at = end
    return items


def test_an_empty_store_gives_an_empty_file(bench: Bench) -> None:
    for form in ("pcap", "pcapng"):
        out = io.BytesIO()
        assert export(bench.open(), out, form=form).packets == 0
        with open_capture(io.BytesIO(out.getvalue())) as reader:
            assert list(reader) == []


def import_and_export(bench: Bench, content: bytes, *, segment_bytes: int) -> bytes:
    reader = open_capture(io.BytesIO(content), batch_bytes=500)
    with reader, bench.writer(bench.source(reader.metadata), segment_bytes=segment_bytes) as writer:
        for each in reader:
            writer.add(each)
        writer.finish()
    out = io.BytesIO()
    export(bench.open(), out, form="pcapng")
    return out.getvalue()


@pytest.mark.parametrize("segment_bytes", [800, 1 << 20])
def test_pcapng_keeps_what_it_says(bench: Bench, segment_bytes: int) -> None:
    from kubeshark.core_capture.files import PcapngWriter

    comment = b"\x01\x00\x03\x00abc\x00"
    metadata = SourceMetadata(
        "pcapng",
        interfaces=[Interface(1, 65_535, 10**9, name="eth0"), Interface(1, 0, 10**6, name="eth1")],
        blocks=[
            RawBlock(10, b"KSLT\x03\x00\x00\x00key\x00", 5),
            RawBlock(4, bytes(4), 17),
            RawBlock(0xBAD, b"\0\0\0\1text", 99),
        ],
    )
    out = io.BytesIO()
    with PcapngWriter(out, metadata) as writer:
        for at, frame in enumerate(frames()):
            extra = PacketExtra(interface=at % 2, options=comment if at % 7 == 0 else b"")
            writer.write_packet(record(frame, START_NS + at // 5 * 1_000_000), extra, ordinal=at)
    content = out.getvalue()
    assert import_and_export(bench, content, segment_bytes=segment_bytes) == content


def test_a_pcapng_without_interfaces_or_packets_stays_one(bench: Bench) -> None:
    with bench.writer(bench.source(SourceMetadata("pcapng"))) as writer:
        writer.finish()
    out = io.BytesIO()
    export(bench.open(), out, form="pcapng")
    with open_capture(io.BytesIO(out.getvalue())) as reader:
        assert (list(reader), reader.metadata.interfaces) == ([], [])


def test_names_that_are_no_unicode(bench: Bench) -> None:
    with bench.writer(SourceInfo("a\udcff.pcap")) as writer:
        writer.add(batch(records(frames())))
        writer.finish()
    assert bench.open().segments()[0].source.name == "a?.pcap"


def test_a_part_of_a_pcapng_keeps_its_secrets(bench: Bench) -> None:
    metadata = SourceMetadata(
        "pcapng", interfaces=[Interface(1, 0)], blocks=[RawBlock(10, b"KSLT\x03\x00\x00\x00key\x00", 5)]
    )
    with bench.writer(bench.source(metadata)) as writer:
        writer.add(batch(records(frames())))
        writer.finish()
    out = io.BytesIO()
    done = export(bench.open(), out, form="pcapng", select=dns)
    assert done.packets == sum(map(is_dns, records(frames())))
    assert out.getvalue().find(b"KSLT") < out.getvalue().find(frames()[1])


@pytest.mark.parametrize("late", [2**33 * 10**9, 2**63, 2**64 * 10**9])
def test_times_a_pcap_record_cannot_hold(late: int, bench: Bench) -> None:
    items = [record(ARP, 0), record(ARP, START_NS), record(ARP, 0)]
    extras = {0: PacketExtra(time_ns=late), 2: PacketExtra(time_ns=-5)}
    with bench.writer() as writer:
        writer.add(batch(items, extras=extras))
        writer.finish()
    (info,) = bench.open().segments()
    assert (info.first_ns, info.last_ns) == (-5, late)
    with bench.open().open_segment(info.name) as segment:
        assert {extra.time_ns for extra in segment.extras.packets.values()} == {late, -5}
    assert exported(bench) == b"".join(items)
    assert exported(bench, since_ns=START_NS + 1) == items[0]
    assert exported(bench, until_ns=-1) == items[2]


@pytest.mark.parametrize(
    "name", ["nDPI__mining.pcapng", "zeek__http__206_example_a.pcap", "nDPI__ip_fragmented_garbage.pcap"]
)
def test_shared_captures_come_out_as_they_went_in(name: str, bench: Bench, captures: Path) -> None:
    path = captures / "files" / name
    with open_capture(path) as reader, bench.writer(bench.source(reader.metadata), segment_bytes=50_000) as writer:
        expected = []
        for each in reader:
            expected.append(each.data)
            writer.add(each)
        writer.finish()
    assert exported(bench) == b"".join(expected)
    assert bench.open().verify().is_sound
