"""Every flavour of pcap gives the same packets; damage keeps what came before."""

from __future__ import annotations

import io
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._records import MAX_CAPTURED
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.store.writing._builder import Builder, SourceInfo
from kubeshark.errors import Truncated

U32 = st.integers(0, 0xFFFF_FFFF)
PACKETS = st.lists(st.tuples(U32, st.integers(0, 999_999), st.binary(max_size=80), U32), max_size=20)
HEADER = 24


@pytest.fixture(params=["native", "reference"])
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test once with the C core's conversion, once with ours."""
    if request.param == "native":
        pytest.importorskip("kubeshark.core_capture._core_native", reason="the C core was not built: make setup")
    monkeypatch.setattr("kubeshark.core_capture.files._pcap.load_core", partial(load_core, request.param))
    return request.param


@given(packets=PACKETS)
def test_all_flavours_give_the_same_packets(read, pcap, packets) -> None:
    in_ns = [(seconds, fraction * 1000, data, original) for seconds, fraction, data, original in packets]
    expected = [(1, seconds * 10**9 + ns, data, original) for seconds, ns, data, original in in_ns]
    for order in "<>":
        assert read(pcap(packets, order=order)).rows == expected
        assert read(pcap(in_ns, order=order, magic=0xA1B23C4D)).rows == expected
        assert read(pcap(packets, order=order, magic=0xA1B2CD34, trailer=b"modified")).rows == expected


@given(packets=PACKETS, cut=st.integers(0, 3000))
def test_any_prefix_keeps_a_prefix_of_the_packets(read, pcap, packets, cut) -> None:
    data = pcap(packets)
    part = data[: max(cut, HEADER)]
    whole, kept = read(data), read(part)
    assert kept.rows == whole.rows[: len(kept.rows)]
    used = HEADER + sum(16 + len(packet.data) for packet in kept.packets)
    assert len(part) == used or str(kept.problems[0]).endswith(f"at byte {used:,}")


@given(packets=PACKETS, batch_bytes=st.sampled_from([1, 100, 1 << 20]))
def test_batches_do_not_matter(read, pcap, packets, batch_bytes) -> None:
    data = pcap(packets * 50)
    assert read(data, batch_bytes).rows == read(data).rows


def test_fraction_of_more_than_a_second_is_carried(read, pcap, core) -> None:
    capture = read(pcap([(10, 2_500_000, b"x", 1), (11, 4_294_967_295, b"y", 1)]))
    assert [packet.time_ns for packet in capture.packets] == [12_500_000_000, 11 * 10**9 + 4_294_967_295_000]


def test_time_beyond_32_bits_of_seconds_is_kept_beside_the_record(read, pcap, core) -> None:
    last = 0xFFFF_FFFF
    capture = read(pcap([(1, 0, b"a", 1), (last, 1_000_000, b"b", 1), (2, 0, b"c", 1)]))
    assert [packet.time_ns for packet in capture.packets] == [10**9, (last + 1) * 10**9, 2 * 10**9]
    assert capture.packets[1].extra.time_ns == (last + 1) * 10**9
    assert capture.packets[1].record[:8] == bytes(8)


def test_captured_more_than_original_is_kept(read, pcap, core) -> None:
    assert read(pcap([(1, 0, b"longer", 2)])).rows == [(1, 10**9, b"longer", 2)]


def test_check_sequence_bits_are_not_part_of_the_link_type(read, pcap) -> None:
    assert read(pcap([(1, 0, b"x", 1)], network=0x5000_0001)).packets[0].link_type == 1


def test_record_that_claims_too_much_ends_the_reading(read, pcap, core) -> None:
    good = pcap([(1, 0, b"good", 4)])
    bad = pcap([(2, 0, bytes(MAX_CAPTURED + 1), 4)])[HEADER:]
    capture = read(good + bad + good[HEADER:])
    assert len(capture.packets) == 1
    assert str(capture.problems[0]) == "packet 2 claims 1,048,577 bytes: the rest cannot be read at byte 44"


def test_longest_record_is_read_in_small_batches(read, pcap, core) -> None:
    packets = [(1, 0, b"x" * MAX_CAPTURED, MAX_CAPTURED), (2, 0, b"y", 1)]
    assert [len(packet.data) for packet in read(pcap(packets), batch_bytes=1).packets] == [MAX_CAPTURED, 1]


def test_no_packets_is_fine(read, pcap) -> None:
    capture = read(pcap([]))
    assert capture.packets == []
    assert capture.problems == []
    assert capture.metadata.interfaces[0].units_per_second == 1_000_000


@pytest.mark.parametrize("length", range(4, HEADER))
def test_cut_file_header_is_said(pcap, length) -> None:
    with pytest.raises(Truncated, match=r"^x\.pcap: a pcap file that ends inside its header"):
        open_capture(io.BytesIO(pcap([])[:length]), name="x.pcap")


LATE = st.lists(st.tuples(st.sampled_from([1, 2**32 - 1]), U32, st.binary(max_size=80), U32), max_size=20)


@given(packets=PACKETS | LATE, batch_bytes=st.sampled_from([1, 1 << 20]), room=st.sampled_from([5000, 1 << 20]))
def test_what_is_read_to_where_it_will_lie_is_the_same(pcap, packets, batch_bytes, room) -> None:
    data = pcap(packets * 50)
    with open_capture(io.BytesIO(data), batch_bytes=batch_bytes) as reader:
        expected = list(reader)
    builder = Builder(1, "node", 1, memoryview(bytearray(room)))
    with open_capture(io.BytesIO(data), batch_bytes=batch_bytes) as reader:
        reader.room = lambda _, size: builder.room(size)
        for batch in reader:
            builder.add(batch)
    draft = builder.draft(SourceInfo("capture"), 0)
    assert bytes(draft.data) == b"".join(bytes(batch.data) for batch in expected)
    assert list(draft.ordinals) == [ordinal for batch in expected for ordinal in batch.ordinals]
    extras = [batch.extras.get(at) for batch in expected for at in range(batch.count)]
    assert draft.extras == {at: extra for at, extra in enumerate(extras) if extra is not None}
