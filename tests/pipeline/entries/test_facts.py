"""What all entries of a connection share, over segments and queries."""

from __future__ import annotations

from kubeshark.extension_api import CLIENT, SERVER
from tests.core_capture.reference._packets import A6, B6, A, B, ethernet, ip, udp, udp_header, vlan
from tests.pipeline._traffic import GET, OK, SECOND, START_NS, Capture, Connection, dns, find


def test_the_stream_is_the_same_over_segments() -> None:
    capture = Capture()
    Connection(capture).open().ask().answer().ask().answer()
    whole = {entry.facts.stream for entry in find(capture, "http || conn")}
    cut = {entry.facts.stream for entry in find(capture, "http || conn", cuts=[4])}
    assert whole == cut
    (stream,) = whole
    assert len(stream) == 16
    assert int(stream, 16) >= 0


def test_connections_of_the_same_ends_differ() -> None:
    capture = Capture()
    Connection(capture).open().ask().answer()
    Connection(capture, sequence=[90_000, 80_000]).open().ask().answer()
    capture.add(dns(1))
    streams = [entry.facts.stream for entry in find(capture, "conn")]
    assert len(set(streams)) == 3


def test_numbers_of_connection_and_flow_are_positive_kfl_integers() -> None:
    capture = Capture()
    Connection(capture, client_port=40_000).open().ask().answer()
    Connection(capture, client_port=40_001).open().ask().answer()
    Connection(capture, 81, 40_000).open().ask().answer()
    entries = find(capture, "http")
    conn_ids, flow_ids = ([entry.get(name) for entry in entries] for name in ("conn_id", "flow_id"))
    assert len(set(conn_ids)) == 3
    assert flow_ids[0] == flow_ids[1] != flow_ids[2]
    assert all(0 <= number < 1 << 63 for number in (*conn_ids, *flow_ids))
    assert len(find(capture, f"http && flow_id == {flow_ids[0]}")) == 2


def test_how_tcp_fared() -> None:
    capture = Capture()
    connection = Connection(capture)
    connection._packet(CLIENT, b"", "S")
    capture.wait(0.002)
    connection._packet(SERVER, b"", "SA")
    connection.ask(GET[:10])
    connection.sequence[CLIENT] -= 10
    connection.ask(GET[:10]).ask(GET[10:]).answer(OK).lose(SERVER, 5).answer(b"more")
    (entry,) = find(capture, "http && status_code == 200")
    found = entry.to_dict()["networkProps"]
    assert found == {"transport": "tcp", "retransmissions": 1, "outOfOrder": 0, "gaps": 1, "rttUs": 3_000}
    assert len(find(capture, "http && tcp_retransmissions == 1 && tcp_gaps == 1 && tcp_rtt_us == 3000")) >= 1


def test_without_handshake_there_is_no_round_trip_time() -> None:
    capture = Capture()
    Connection(capture).ask().answer()
    capture.add(dns(1))
    assert {entry.get("tcp_rtt_us") for entry in find(capture, "")} == {0}


def test_clocks_that_jump_give_no_negative_times() -> None:
    capture = Capture(START_NS + 9 * SECOND)
    connection = Connection(capture)
    connection._packet(CLIENT, b"", "S")
    capture.now_ns = START_NS
    connection._packet(SERVER, b"", "SA")
    (entry,) = find(capture, "tcp_conn")
    assert entry.get("tcp_rtt_us") == 0


def test_ends_of_each_kind_of_address() -> None:
    capture = Capture()
    capture.add(ip(udp_header(b"x", 5000, 53), 17, A6, B6))
    (entry,) = find(capture, "udp_conn")
    assert (entry.src.ip, entry.src.port, entry.dst.ip, entry.dst.port) == (A6, 5000, B6, 53)


def test_who_opened_the_connection_is_the_source_whatever_its_address() -> None:
    capture = Capture()
    Connection(capture, ends=(B, A)).open().ask().answer()
    (entry,) = find(capture, "http")
    assert (entry.src.ip, entry.dst.ip) == (B, A)


def test_a_tunnels_outer_flow_is_a_connection_of_its_own() -> None:
    capture = Capture()
    inner = b"\x08\0\0\0\0\0\x07\0" + ethernet(0x8100, vlan(7, 0x0800, dns(1)))
    capture.add(udp(inner, (50_000, 4789), ("192.0.2.1", "192.0.2.2")))
    found = find(capture, "")
    assert sorted((entry.entry_id.number, entry.dst.port, entry.get("tunnel")) for entry in found) == [
        ("0", 53, "vxlan"),
        ("conn", 53, "vxlan"),
        ("conn", 4789, ""),
    ]
    (question,) = find(capture, "dns && vlan_id == 7")
    assert question.to_dict()["capture"]["vlan"] == {"id": 7, "dot1q": True}
    (outer,) = find(capture, "udp_conn && dst.port == 4789")
    assert outer.get("conn_local_bytes") == len(inner)
    assert outer.to_dict()["networkProps"]["rttUs"] == 0
