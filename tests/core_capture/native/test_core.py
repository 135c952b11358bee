"""The C core against the reference: on real captures, on built and mutated packets, and at its own edges."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("kubeshark.core_capture._core_native", reason="the C core was not built: no compiler or Python.h")

from kubeshark.core_capture._columns import ARENA, FLOW, PACKET, SERVER_PORTS, Core, FlowBit
from kubeshark.core_capture._records import MAX_CAPTURED
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.native import NativeCore
from kubeshark.core_capture.reference._link import LINK_TYPES
from kubeshark.errors import KubesharkError
from tests.core_capture.native._compare import NATIVE, REFERENCE, same
from tests.core_capture.reference._packets import (
    ETHERNET,
    RAW,
    ethernet,
    fragments,
    ip,
    record,
    records,
    run,
    tcp,
    tcp_header,
    udp,
    udp_header,
    vlan,
)

MUTATED_RECORDS = 40  # of one capture
INTERESTING = (0, 1, 4, 6, 17, 41, 44, 47, 51, 0x20, 0x45, 0x60, 0x7F, 0x80, 0xFF)


def batches(captures: Path) -> Iterator[tuple[str, bytes, int]]:
    for file in sorted((captures / "files").iterdir()):
        try:
            with open_capture(file) as reader:
                for batch in reader:
                    yield file.name, batch.data, batch.link_type
        except KubesharkError:
            continue


def test_it_is_a_core() -> None:
    core: Core = NATIVE
    assert core.name == "native"


# -- equal to the reference


def test_every_capture(captures: Path) -> None:
    seen = 0
    for name, data, link_type in batches(captures):
        try:
            seen += len(same(data, link_type).packets)
        except AssertionError as error:
            error.add_note(f"in {name}, link type {link_type}")
            raise
    assert seen > 50_000


def mutate(packet: bytes, choose: random.Random) -> bytes:
    """Change a few bytes, mostly of the headers."""
    changed = bytearray(packet)
    for _ in range(choose.choice((1, 1, 2, 4, 16))):
        if not changed:
            break
        at = min(int(choose.expovariate(1 / 30)), len(changed) - 1)
        match choose.randrange(6):
            case 0 | 1:
                changed[at] = choose.choice(INTERESTING)
            case 2:
                changed[at] ^= 1 << choose.randrange(8)
            case 3:
                del changed[at : at + choose.randrange(1, 9)]
            case 4:
                changed[at:at] = changed[max(0, at - choose.randrange(40)) : at]
            case 5:
                del changed[choose.randrange(len(changed)) :]
    return bytes(changed)


def test_mutated_captures(captures: Path) -> None:
    choose = random.Random(20)
    for name, data, link_type in batches(captures):
        offsets, end = NATIVE.offsets(data)
        bounds = [*offsets.tolist(), end]
        first = choose.randrange(max(len(bounds) - MUTATED_RECORDS, 1))
        chosen = [
            bytes(data[start:stop]) for start, stop in itertools.pairwise(bounds[first : first + MUTATED_RECORDS])
        ]
        choose.shuffle(chosen)
        changed = b""
        for one in chosen:
            packet = mutate(one[16:], choose) if choose.random() < 0.7 else one[16:]
            original = len(packet) + choose.choice((0, 0, 0, 1, 100, 1 << 31))
            changed += one[:8] + struct.pack("<II", len(packet), original) + packet
        try:
            same(changed, link_type)
        except AssertionError as error:
            error.add_note(f"mutated from {name}, link type {link_type}")
            raise


def layered() -> st.SearchStrategy[bytes]:
    """IP packets nested in tunnels, with headers that are mostly right."""
    ports = st.sampled_from((80, 443, 1701, 2152, 3544, 4789, 4790, 6081, 8472, 40000))
    addresses = st.sampled_from((("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1"), ("2001:db8::1", "2001:db8::2")))
    fields = st.sampled_from((0, 0, 0, 0x2000, 0x2001, 1, 0x4000))
    lengths = st.one_of(st.none(), st.none(), st.none(), st.integers(0, 80))
    leaves = st.one_of(
        st.binary(max_size=40),
        st.builds(
            lambda payload, pair, sequence, flags, words, ends: ip(
                tcp_header(payload, *pair, sequence, flags, words), 6, *ends
            ),
            st.binary(max_size=20),
            st.tuples(ports, ports),
            st.integers(-5, 30),
            st.sampled_from(("S", "SA", "A", "FA", "R", "SR", "PA")),
            st.integers(3, 7),
            addresses,
        ),
    )

    def around(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        in_ip = st.builds(
            lambda payload, protocol, ends, length, field: ip(payload, protocol, *ends, length=length, fragment=field),
            inner,
            st.sampled_from((0, 1, 4, 6, 17, 41, 43, 44, 47, 50, 51, 60, 97, 132, 137)),
            addresses,
            lengths,
            fields,
        )
        in_udp = st.builds(
            lambda payload, pair, length, ends, head: ip(udp_header(head + payload, *pair, length), 17, *ends),
            inner,
            st.tuples(ports, ports),
            lengths,
            addresses,
            st.sampled_from(
                (
                    b"",
                    bytes.fromhex("0800000000000100") + ethernet(0x0800, b""),
                    bytes.fromhex("0c00000100000100"),
                    bytes.fromhex("0000080000000100"),
                    bytes.fromhex("0000655800000100") + ethernet(0x86DD, b""),
                    bytes.fromhex("30ff00200000000a"),
                    bytes.fromhex("36ff00200000000a0000008501000000"),
                    bytes.fromhex("000200010001ff030021"),
                )
            ),
        )
        in_gre = st.builds(
            lambda payload, head, ends: ip(head + payload, 47, *ends),
            inner,
            st.sampled_from(
                [
                    bytes.fromhex(text)
                    for text in (
                        "00000800",
                        "200086dd00000001",
                        "10006558000000010000",
                        "3081880b0000000100000002ff030021",
                    )
                ]
                + [bytes.fromhex("100088be0000000110000000000000") + ethernet(0x0800, b"")]
            ),
            addresses,
        )
        in_labels = st.builds(
            lambda payload, head: head + payload,
            inner,
            st.sampled_from(
                (
                    vlan(5, 0x0800, b""),
                    bytes.fromhex("00001140"),
                    bytes.fromhex("1100000100300021"),
                    bytes.fromhex("aaaa030000000800"),
                )
            ),
        )
        return st.one_of(in_ip, in_udp, in_gre, in_labels)

    return st.recursive(leaves, around, max_leaves=6)


KINDS = st.sampled_from((0x0800, 0x86DD, 0x8100, 0x8847, 0x8864, 0x88E7, 40))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(KINDS, layered(), st.integers(0, 12), st.integers(0, 3)), max_size=6),
    st.sampled_from((ETHERNET, ETHERNET, RAW)),
)
def test_built_packets(packets: list[tuple[int, bytes, int, int]], link_type: int) -> None:
    data = b""
    for kind, packet, cut, seconds in packets:
        whole = packet if link_type == RAW else ethernet(kind, packet)
        data += record(whole[: len(whole) - cut], seconds * 40 * 10**9, len(whole))
    same(data, link_type)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=90), max_size=4), st.sampled_from(sorted(LINK_TYPES)))
def test_any_bytes_of_any_link_type(packets: list[bytes], link_type: int) -> None:
    same(records(*packets), link_type)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from((None, 1000, 0xFFFF_FFF8)),
    st.lists(
        st.tuples(
            st.integers(0, 40),
            st.binary(max_size=12),
            st.sampled_from(("A", "A", "A", "PA", "FA", "R", "S")),
            st.integers(0, 9),
        ),
        max_size=25,
    ),
)
def test_segments_in_any_order(isn: int | None, segments: list[tuple[int, bytes, str, int]]) -> None:
    start = 0xFFFF_FFF8 if isn is None else isn
    data = b"" if isn is None else record(tcp(sequence=isn, flags="S"), 0)
    for offset, payload, flags, milliseconds in segments:
        data += record(tcp(payload, start + offset, flags), milliseconds * 10**6)
    same(data, RAW)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 24), st.booleans(), st.integers(0, 2), st.integers(0, 70)),
        max_size=20,
    )
)
def test_fragments_in_any_order(pieces: list[tuple[int, int, bool, int, int]]) -> None:
    """Overlapping, repeated, late, and with fragments of the same datagrams inside."""
    inner = ip(b"\x01\x02" + bytes(30), 4, fragment=0x2000, identification=1)
    body = udp_header(inner + bytes(10), 40000, 53)
    data = b""
    for offset, length, more, number, seconds in pieces:
        field = (0x2000 if more else 0) | offset
        protocol = 4 if number == 1 else 17
        payload = (inner if number == 1 else body)[offset * 8 : offset * 8 + length]
        data += record(ip(payload, protocol, identification=number, fragment=field), seconds * 10**9)
    same(data, RAW)


def test_many_unfinished_datagrams() -> None:
    packets = [ip(udp_header(b"x" * 16, 1, 2), 17, identification=n, fragment=0x2000) for n in range(1100)]
    packets += [ip(b"y" * 8, 17, identification=n, fragment=3) for n in reversed(range(1100))]
    decoded = same(records(*packets), RAW)
    assert len(decoded.arena_index) == 1024


def test_chain_of_nested_datagrams() -> None:
    """Each packet completes a datagram that holds the first fragment of the next one, 2,000 deep."""
    packets = []
    for number in range(2000):
        head = ip(bytes(8), 4, identification=number + 1, fragment=0x2000)[:20]
        packets.append(ip(head + bytes(4), 4, identification=number, fragment=0x2000))
        packets.append(ip(bytes(8), 4, identification=number, fragment=3))
    same(records(*packets), RAW)


def test_one_packet_completes_a_bounded_number_of_datagrams() -> None:
    def piece(number: int, offset: int, more: int, payload: bytes) -> bytes:
        return struct.pack(">BBHI", 44, 0, offset | more, number) + payload

    ends = ("2001:db8::1", "2001:db8::2")
    waiting = [ip(piece(n, 0, 1, piece(n + 1, 8, 0, b"")), 44, *ends) for n in range(20)]
    decoded = same(records(*waiting, ip(piece(0, 8, 0, b"end" + bytes(13)), 44, *ends)), RAW)
    assert len(decoded.packets) == 21


def test_more_flows_than_the_first_table() -> None:
    packets = [udp(b"x", ports=(1024 + n, 2000 + n)) for n in range(5000)] * 2
    decoded = same(records(*packets), RAW)
    assert len(decoded.flows) == 5000
    assert (decoded.flows["packets"].sum(axis=1) == 2).all()


def test_server_ports_are_those_of_the_columns() -> None:
    for port in range(1, 65536):
        if port in SERVER_PORTS or port % 97 == 0 or port < 1030:
            flow = NATIVE.decode(records(tcp(ports=(port, 60000))), RAW).flows[0]
            client = flow["port_b"] if flow["client"] else flow["port_a"]
            assert client == (60000 if port < 1024 or port in SERVER_PORTS else port), port


# -- its own edges


def test_worst_order_of_segments_is_not_quadratic() -> None:
    count = 60_000
    packets = [tcp(b"ab", 2 * n) for n in reversed(range(count))]
    decoded = NATIVE.decode(records(*packets), RAW)
    (stream,) = NATIVE.assemble(decoded, [0])
    assert stream.directions is not None
    side = next(one for one in stream.directions if len(one.data))
    assert side.data == b"ab" * count
    assert side.out_of_order == count - 1


def test_nothing() -> None:
    decoded, streams = run(NATIVE, b"", RAW)
    assert (decoded.end, decoded.arena, list(streams)) == (0, b"", [])
    assert (decoded.packets.dtype, decoded.flows.dtype, decoded.arena_index.dtype) == (PACKET, FLOW, ARENA)
    assert list(NATIVE.assemble(decoded, [])) == []


@pytest.mark.parametrize("size", [0, 1, 60, 1500])
def test_row_guess_never_limits(size: int) -> None:
    """The first records say how many rows to expect; whatever follows must still fit."""
    data = record(bytes(60_000)) * 3 + record(bytes(size)) * 5000
    decoded = NATIVE.decode(data, ETHERNET)
    assert len(decoded.packets) == len(NATIVE.offsets(data)[0]) == 5003


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_will_do(kind: Any) -> None:
    decoded, _ = run(NATIVE, kind(records(udp())), RAW)
    assert bytes(decoded.payload(0)) == b"hello"


def test_assemble_takes_rows_of_the_table_only() -> None:
    decoded = NATIVE.decode(records(tcp(b"x")), RAW)
    for flow in (1, -1, 1 << 40):
        with pytest.raises(IndexError):
            NATIVE.assemble(decoded, [flow])
    assert [stream.flow for stream in NATIVE.assemble(decoded, np.array([0, 0]))] == [0, 0]


def test_assemble_checks_rows_it_did_not_make() -> None:
    decoded = NATIVE.decode(records(tcp(b"xx"), tcp(b"yy", 2)), RAW)
    for field, value in (("payload_length", 0xFFFF_FFFF), ("offset", 0xFFFF_0000), ("flow", 7), ("bits", 1)):
        row = decoded.packets[1].copy()
        decoded.packets[1][field] = value
        with pytest.raises(IndexError):
            NATIVE.assemble(decoded, [0])
        decoded.packets[1] = row


def test_streams_keep_their_memory() -> None:
    (stream,) = NATIVE.assemble(NATIVE.decode(records(tcp(b"hello", flags="PA")), RAW), [0])
    assert stream.directions is not None
    assert b"".join(bytes(side.data) for side in stream.directions) == b"hello"


@given(st.lists(st.binary(max_size=30), max_size=12), st.randoms(use_true_random=False))
def test_gather(packets: list[bytes], choose: random.Random) -> None:
    data = records(*packets)
    offsets, _ = NATIVE.offsets(data)
    order = np.array(choose.choices(range(len(packets)), k=len(packets) + 3) if packets else [], dtype=np.uint32)
    gathered = NATIVE.gather(data, offsets, order)
    assert gathered == REFERENCE.gather(data, offsets, order)
    assert NATIVE.gather(data, offsets, order, len(gathered)) == gathered
    for core in (NATIVE, REFERENCE):
        with pytest.raises(IndexError):
            core.gather(data, offsets, order, len(gathered) + 1)


@pytest.mark.parametrize(("offsets", "order"), [([0], [1]), ([0], [-1]), ([1], [0]), ([1 << 60], [0]), ([40], [0])])
def test_gather_refuses_what_is_no_record(offsets: list[int], order: list[int]) -> None:
    with pytest.raises(IndexError):
        NATIVE.gather(records(bytes(20)), np.array(offsets), np.array(order))


TIMES = st.one_of(
    st.integers(0, 3),
    st.integers(10**18, 10**18 + 5000),
    st.integers(0, 2**63),
    st.sampled_from([0, 2**32 * 10**9 - 1]),
)
TIES = st.integers(0, 2) | st.integers(0, 2**16 - 1)


def timed(moments: list[tuple[int, bytes]]) -> bytes:
    return b"".join(
        struct.pack("<4I", *divmod(time_ns % (2**32 * 10**9), 10**9), len(packet), len(packet)) + packet
        for time_ns, packet in moments
    )


@settings(deadline=None)
@given(st.lists(st.tuples(TIMES, st.binary(max_size=20), TIES), max_size=40), st.booleans(), st.booleans())
def test_by_time(rows: list[tuple[int, bytes, int]], has_ties: bool, ascends: bool) -> None:
    rows = sorted(rows) if ascends else rows
    data = timed([(time_ns, packet) for time_ns, packet, _ in rows])
    ties = np.array([tie for _, _, tie in rows], dtype=np.uint16) if has_ties else None
    half = sum(16 + len(packet) for _, packet, _ in rows[: len(rows) // 2])
    pieces = [data[:half], memoryview(data)[half:]]
    native, reference = NATIVE.by_time(pieces, ties), REFERENCE.by_time(pieces, ties)
    assert bytes(native[0]) == bytes(reference[0])
    for ours, theirs in zip(native[1:], reference[1:], strict=True):
        assert np.array_equal(ours, theirs)


def test_by_time_of_more_records_than_it_guessed() -> None:
    data = timed([(1000 - n, bytes(1000)) for n in range(100)] + [(n, b"") for n in range(50_000)])
    assert bytes(NATIVE.by_time([data], None)[0]) == bytes(REFERENCE.by_time([data], None)[0])


@pytest.mark.parametrize(("data", "ties"), [(record(b"a") + b"x", None), (record(b"a"), []), (record(b"a"), [1, 2])])
def test_by_time_refuses_what_is_not_whole(data: bytes, ties: list[int] | None) -> None:
    for core in (NATIVE, REFERENCE):
        with pytest.raises(IndexError):
            core.by_time([data], None if ties is None else np.array(ties, dtype=np.uint16))


@given(
    st.data(),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([(0,), (1,), (5,), (300,), (3, 2), (700, 16)]),
    st.booleans(),
)
def test_unplane(draw: st.DataObject, width: int, shape: tuple[int, ...], delta: bool) -> None:
    planes = random.Random(draw.draw(st.integers())).randbytes(width * int(np.prod(shape)))
    native, reference = (core.unplane(planes, f"u{width}", shape, delta=delta) for core in (NATIVE, REFERENCE))
    assert native.dtype == reference.dtype
    assert np.array_equal(native, reference)
    for core in (NATIVE, REFERENCE):
        with pytest.raises(IndexError):
            core.unplane(planes + b"x", f"u{width}", shape, delta=delta)


@given(st.lists(st.integers(0, 6), max_size=5), st.integers(0, 2**64 - 1), st.randoms(use_true_random=False))
def test_may_hold(powers: list[int], key: int, choose: random.Random) -> None:
    filters = b"".join(choose.choice([choose.randbytes(1 << power), b"\xff" * (1 << power)]) for power in powers)
    ends = np.cumsum([1 << power for power in powers], dtype=np.uint64)
    native, reference = (core.may_hold(filters, ends, key, 7) for core in (NATIVE, REFERENCE))
    assert native.tolist() == reference.tolist()


@pytest.mark.parametrize("ends", [[3], [0], [2, 2], [4, 16], [2, 1]])
def test_may_hold_refuses_odd_filters(ends: list[int]) -> None:
    for core in (NATIVE, REFERENCE):
        with pytest.raises(IndexError):
            core.may_hold(bytes(8), np.array(ends, dtype=np.uint64), 1, 7)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3) | st.integers(0, 2**40)), max_size=30), st.integers(0, 99))
def test_runs(rows: list[tuple[bool, int]], start: int) -> None:
    chosen = np.array([is_chosen for is_chosen, _ in rows], dtype=np.bool_)
    lengths = np.array([length for _, length in rows], dtype=np.uint64)
    assert NATIVE.runs(chosen, lengths, start) == REFERENCE.runs(chosen, lengths, start)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=20), st.integers(0, 99)),
        max_size=6,
    ),
    st.booleans(),
    st.sampled_from((1, 1000)),
    st.integers(0, 20),
)
def test_convert(fields: list[tuple[int, int, bytes, int]], swapped: bool, multiplier: int, cut: int) -> None:
    data, bounds, expected, fits = b"", [0], [b""], True
    for seconds, fraction, packet, longer in fields:
        lengths = (len(packet), len(packet) + longer)
        data += struct.pack(">4I" if swapped else "<4I", seconds, fraction, *lengths) + packet
        carry, nanoseconds = divmod(fraction * multiplier, 10**9)
        fits = fits and seconds + carry < 2**32
        if fits:
            bounds.append(len(data))
            expected.append(expected[-1] + struct.pack("<4I", seconds + carry, nanoseconds, *lengths) + packet)
    data = data[: len(data) - cut]
    whole = sum(end <= len(data) for end in bounds) - 1
    records = bytearray(data)
    assert NATIVE.convert(records, swapped=swapped, multiplier=multiplier) == (bounds[whole], whole)
    assert records[: bounds[whole]] == expected[whole]
    assert records[bounds[whole] :] == data[bounds[whole] :]


def test_convert_stops_at_a_claim_that_is_too_large() -> None:
    data = record(b"abc") + struct.pack("<4I", 0, 0, MAX_CAPTURED + 1, 0) + bytes(MAX_CAPTURED + 1)
    records = bytearray(data)
    assert NATIVE.convert(records, swapped=False, multiplier=1) == (19, 1)
    assert records == data


def test_carrier_and_flow_of_one_tuple_are_apart() -> None:
    inner = ethernet(0x0800, udp(ports=(1000, 4789)))
    outer = udp(bytes.fromhex("0800000000000100") + inner, ports=(1000, 4789))
    decoded = same(records(outer, udp(ports=(1000, 4789)), *fragments(outer, 24, 24)), RAW)
    assert [bool(flow["bits"] & FlowBit.CARRIER) for flow in decoded.flows] == [True, False]
    assert set(decoded.flows["ip_version"].tolist()) == {4}


def test_several_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    data = records(*(tcp(b"x" * 50, 50 * n) for n in range(3000)))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: NativeCore().decode(data, RAW).packets.tobytes(), range(8)))
    assert len(set(results)) == 1
