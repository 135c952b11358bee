"""The core's flows as dissectors see them: client first, offsets with times, datagrams that became whole."""

from __future__ import annotations

import numpy as np
import pytest

from kubeshark.core_capture import FLOW, PACKET, load_core
from kubeshark.extension_api import CLIENT, SERVER, carved, rest_of
from kubeshark.pipeline.dissection import _exchanges
from kubeshark.pipeline.dissectors.network import _conn
from kubeshark.pipeline.entries import _facts
from kubeshark.pipeline.reading import _streams
from kubeshark.pipeline.reading._streams import FlowStream
from tests.core_capture.reference._packets import A6, B6, A, B, fragments, ip, tcp, udp
from tests.pipeline._traffic import MS, START_NS, Capture, Connection


def only_stream(capture: Capture) -> FlowStream:
    decoded = load_core().decode(b"".join(capture.records), 101)
    (stream,) = FlowStream.all_of(decoded, load_core().assemble(decoded, range(len(decoded.flows))))
    return stream


def test_the_client_is_first_whatever_the_order_of_addresses() -> None:
    for ends in ((A, B), (B, A)):
        capture = Capture()
        Connection(capture, ends=ends).open().ask(b"ask").answer(b"answer")
        stream = only_stream(capture)
        assert [bytes(side.data) for side in stream.sides] == [b"ask", b"answer"]
        assert (stream.client.ip, stream.server.ip, stream.server.port, stream.transport) == (*ends, 80, "tcp")
        assert stream.datagrams == []


def test_each_byte_has_the_time_of_the_packet_that_first_carried_it() -> None:
    capture = Capture()
    Connection(capture).open().ask(b"abc").answer(b"x").ask(b"def")
    side = only_stream(capture).sides[CLIENT]
    assert [side.time_at(offset) for offset in (0, 2, 3, 5)] == [START_NS + n * MS for n in (2, 2, 4, 4)]
    assert [side.packet_at(offset) for offset in (-1, 0, 99)] == [2, 2, 4]


def test_a_side_without_bytes_has_no_times() -> None:
    capture = Capture()
    Connection(capture).open().ask(b"abc")
    side = only_stream(capture).sides[SERVER]
    assert (len(side.data), side.time_at(0), side.arrivals()) == (0, 0, [])


def ended(*flags: tuple[int, str], lost: int = 0) -> list[str]:
    """Return how both sides ended in a connection that ended so, `lost` bytes of the server's before."""
    capture = Capture()
    connection = Connection(capture).open().ask(b"ask").answer(b"answer").lose(SERVER, lost)
    for side, flag in flags:
        connection.end(side, flag)
    return [side.ended for side in only_stream(capture).sides]


def test_how_a_connection_ended_is_told_where_nothing_is_missing_before() -> None:
    assert ended() == ["", ""]
    assert ended((SERVER, "FA")) == ["", "closed"]
    assert ended((SERVER, "FA"), (CLIENT, "FA")) == ["closed", "closed"]
    assert ended((SERVER, "R")) == ["", "reset"]
    assert ended((SERVER, "RA")) == ["refused", "reset"]
    assert ended((SERVER, "FA"), (CLIENT, "R"), (SERVER, "RA")) == ["reset", "closed"]
    assert ended((SERVER, "FA"), lost=1) == ended((SERVER, "R"), lost=1) == ["", ""]


def test_a_reset_tells_of_bytes_that_only_the_other_side_has_seen() -> None:
    capture = Capture()
    connection = Connection(capture).open().ask(b"ask").answer(b"answer")
    for acknowledged, told in ((1004, "refused"), (1005, "")):
        reset = bytearray(tcp(b"", connection.sequence[SERVER], "RA", (80, 40_000), (B, A)))
        reset[28:32] = acknowledged.to_bytes(4, "big")
        seen = Capture(records=[*capture.records], now_ns=capture.now_ns)
        seen.add(bytes(reset))
        assert only_stream(seen).sides[CLIENT].ended == told


def test_packets_that_were_cut_tell_no_end() -> None:
    capture = Capture()
    connection = Connection(capture).open().ask(b"ask")
    capture.add(tcp(b"half of it", 5001, "FA", (80, 40_000), (B, A))[:-6], original=50)
    assert [side.ended for side in only_stream(capture).sides] == ["", ""]
    connection.end(CLIENT)
    assert only_stream(capture).sides[CLIENT].ended == "closed"


def test_what_was_carved_out_of_a_side_ended_with_it() -> None:
    capture = Capture()
    Connection(capture).open().ask(b"ask").end(CLIENT)
    side = only_stream(capture).sides[CLIENT]
    assert [rest_of(side, 2).ended, carved(side, b"a", [(0, 0, 1)]).ended] == ["closed", "closed"]


def test_turns_alternate_in_order_of_arrival() -> None:
    capture = Capture()
    Connection(capture).open().ask(b"a").ask(b"b").answer(b"cd").ask(b"e").answer(b"f")
    assert only_stream(capture).turns() == [(0, 0, 2), (1, 0, 2), (0, 2, 3), (1, 2, 3)]


def test_late_data_stays_in_the_turn_where_it_arrived() -> None:
    capture = Capture()
    connection = Connection(capture).open().ask(b"a")
    connection.lose(CLIENT, 1).ask(b"c").answer(b"X")
    capture.add(tcp(b"b", 1002, "PA"))
    turns = only_stream(capture).turns()
    assert sum(end - start for way, start, end in turns if way == CLIENT) == 3
    assert turns == [(0, 0, 1), (1, 0, 1), (0, 1, 3)]


def test_gaps_and_a_start_in_the_middle_are_told() -> None:
    capture = Capture()
    Connection(capture).ask(b"a").lose(CLIENT, 4).ask(b"b")
    client, server = only_stream(capture).sides
    assert (client.starts_midway, client.gaps, bytes(client.data)) == (True, [(1, 5, 4)], b"a\0\0\0\0b")
    assert server.gaps == []


def test_datagrams_in_time_order_by_who_sent_them() -> None:
    capture = Capture()
    capture.add(udp(b"q", (9000, 53), (B, A)))
    capture.add(udp(b"r", (53, 9000), (A, B)))
    stream = only_stream(capture)
    assert [(d.direction, bytes(d.data), d.time_ns, d.cut) for d in stream.datagrams] == [
        (CLIENT, b"q", START_NS, False),
        (SERVER, b"r", START_NS + MS, False),
    ]
    assert stream.datagrams is stream.datagrams
    assert (stream.sides, stream.turns(), stream.packet_of(1)) == ((), [], 1)


def test_a_fragmented_datagram_is_one() -> None:
    capture = Capture()
    for piece in fragments(udp(b"0123456789abcdef", (9000, 53)), 16):
        capture.add(piece)
    stream = only_stream(capture)
    assert [bytes(datagram.data) for datagram in stream.datagrams] == [b"0123456789abcdef"]
    assert stream.packet_of(0) == 1  # the fragment that completed it


def test_of_a_datagram_that_was_never_whole_the_first_fragment_is_cut() -> None:
    capture = Capture()
    for piece in fragments(udp(b"0123456789abcdef", (9000, 53)), 16)[:1]:
        capture.add(piece)
    stream = only_stream(capture)
    assert [(bytes(datagram.data), datagram.cut) for datagram in stream.datagrams] == [(b"01234567", True)]


def test_a_datagram_that_was_captured_short_says_so() -> None:
    capture = Capture()
    capture.add(udp(b"0123456789", (9000, 53))[:-4], original=38)
    (datagram,) = only_stream(capture).datagrams
    assert (bytes(datagram.data), datagram.cut) == (b"012345", True)


def test_names_of_transports() -> None:
    for number, name, ends in ((1, "icmp", (A, B)), (58, "icmp", (A6, B6)), (132, "sctp", (A, B)), (89, "ip", (A, B))):
        capture = Capture()
        capture.add(ip(b"\0" * 16, number, *ends))
        assert only_stream(capture).transport == name


def test_rows_of_the_flow_table_are_read_as_it_is_laid_out() -> None:
    row = np.frombuffer(bytes(range(FLOW.itemsize)), dtype=FLOW)[0]
    ends = [row["a"].tobytes(), row["b"].tobytes()]
    columns = ("port_a", "port_b", "transport", "ip_version", "client")
    assert list(_streams._ENDS.unpack(row.tobytes())) == [*ends, *(int(row[name]) for name in columns)]
    counts = [*row["packets"].tolist(), *row["bytes"].tolist()]
    columns = ("transport", "client", "bits", "first_ns", "last_ns")
    assert list(_conn._ROW.unpack(row.tobytes())) == [*(int(row[name]) for name in columns), *counts]
    first_ns, isn = (row[name].tobytes() for name in ("first_ns", "isn"))
    assert list(_facts._NAMED_BY.unpack(row)) == [row.tobytes()[:37], first_ns, isn]
    assert FLOW.names is not None and FLOW.names[:5] == ("a", "b", "port_a", "port_b", "transport")
    assert _facts._VLAN.unpack(row) == (int(row["vlan"]),)
    assert list(_exchanges._TIMES.unpack(row)) == [int(row["first_ns"]), int(row["last_ns"])]


def test_rows_of_packets_are_read_as_they_are_laid_out() -> None:
    row = np.frombuffer(bytes(range(PACKET.itemsize)), dtype=PACKET)[0]
    assert list(_streams._PACKET.unpack(row)) == [int(row[name]) for name in PACKET.names or ()]


def test_rows_of_sides_are_read_as_they_are_laid_out() -> None:
    native = pytest.importorskip(
        "kubeshark.core_capture.native._streams", reason="needs the C core: apt-get install gcc"
    )
    row = np.frombuffer(bytes(range(native.SIDE.itemsize)), dtype=native.SIDE)[0]
    assert list(native._SIDE.unpack(row)) == [int(row[name]) for name in native.SIDE.names]
