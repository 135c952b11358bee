"""Records and the handshake messages in them: spread, joined, damaged, found again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.tls._hello import ClientHello, ServerHello
from kubeshark.pipeline.tls._records import begins_tls, is_header, read_flight, split_records

from ..dissectors._streams import Side
from ._hellos import CHROME, alert, client_hello, handshake, record, server_hello

HELLO = handshake(1, CHROME)
DATA = record(23, bytes(300))


def wire(data: bytes, *gaps: tuple[int, int, int], midway: bool = False) -> Wire:
    return Wire(Side(memoryview(data), gaps, midway))


def kinds(data: bytes, *gaps: tuple[int, int, int], midway: bool = False) -> list[tuple[int, str]]:
    return [(message.type, message.error) for message in read_flight(wire(data, *gaps, midway=midway)).messages]


def test_records_follow_each_other() -> None:
    data = record(22, HELLO) + record(20, b"\x01") + DATA
    assert [(found.type, found.start, found.end) for found in split_records(wire(data))] == [
        (22, 0, 5 + len(HELLO)),
        (20, 5 + len(HELLO), 11 + len(HELLO)),
        (23, 11 + len(HELLO), len(data)),
    ]


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100])
def test_hello_spread_over_records(size: int) -> None:
    data = b"".join(record(22, HELLO[at : at + size]) for at in range(0, len(HELLO), size))
    (message,) = read_flight(wire(data)).messages
    assert isinstance(message.hello, ClientHello)
    assert (message.hello.sni, message.start, message.end, message.error) == ("example.org", 0, len(data), "")


def test_several_messages_in_a_record() -> None:
    data = record(22, handshake(2, server_hello()) + handshake(11, b"\0\0\0") + handshake(14, b"")) + alert(2, 40)
    flight = read_flight(wire(data))
    assert [message.type for message in flight.messages] == [2, 11, 14]
    assert isinstance(flight.messages[0].hello, ServerHello)
    assert [(found.level, found.description) for found in flight.alerts] == [(2, 40)]
    assert flight.messages[1].start == flight.messages[0].end


@pytest.mark.parametrize("size", range(1, len(HELLO) + 5))
def test_hello_cut_anywhere(size: int) -> None:
    found = kinds(record(22, HELLO)[:size])
    assert found == ([(1, f"truncated: the record ends {len(HELLO) + 5 - size} bytes early")] if size > 9 else [])


def test_gap_in_a_hello() -> None:
    data = record(22, HELLO)
    lost = data[:100] + bytes(20) + data[120:] + DATA
    assert kinds(lost, (100, 120, 20)) == [(1, "gap: 20 bytes missing at 100")]


def test_records_behind_a_gap_over_a_header() -> None:
    data = DATA + DATA + DATA
    lost = data[:300] + bytes(10) + data[310:]
    found = list(split_records(wire(lost, (300, 310, 10))))
    assert [(item.start, item.is_whole, item.follows_loss) for item in found] == [(0, False, False), (610, True, True)]


def test_gap_longer_than_its_zeros_inside_a_record() -> None:
    data = record(23, bytes(1000)) + DATA
    short = data[:100] + bytes(10) + data[600:]  # 500 bytes missing, ten zeros in their place
    assert [item.start for item in split_records(wire(short, (100, 110, 500)))] == [0, 1005 - 490]


def test_capture_that_begins_inside_a_record() -> None:
    data = bytes(range(256)) * 4 + DATA + DATA
    assert [item.start for item in split_records(wire(data, midway=True))] == [1024, 1329]


def test_capture_that_begins_with_a_server_hello() -> None:
    data = record(22, handshake(2, server_hello()) + handshake(11, bytes(500)))[:200]
    assert kinds(data, midway=True) == [(2, ""), (11, "truncated: the record ends 351 bytes early")]


def test_second_hello_behind_change_cipher_spec() -> None:
    data = record(22, HELLO) + record(20, b"\x01") + record(22, HELLO)
    assert kinds(data) == [(1, ""), (1, "")]


def test_encrypted_handshake_is_no_handshake() -> None:
    data = record(22, HELLO) + record(20, b"\x01") + record(22, b"\x01\0\0\x20" + bytes(60))
    assert kinds(data) == [(1, "")]


def test_encrypted_alert_is_no_alert() -> None:
    assert read_flight(wire(record(22, HELLO) + record(21, bytes(26)))).alerts == []


def test_nothing_is_read_behind_application_data() -> None:
    assert kinds(record(22, HELLO) + DATA + record(22, HELLO)) == [(1, "")]


def test_ssl2_hello_and_records_behind() -> None:
    body = b"\x01\x03\x01\0\x03\0\0\0\x10\0\0\x2f" + bytes(16)
    data = bytes([0x80, len(body)]) + body + record(21, b"\x02\x28")
    flight = read_flight(wire(data))
    assert isinstance(flight.messages[0].hello, ClientHello)
    assert flight.messages[0].hello.suites == [0x2F]
    assert flight.alerts[0].description == 40


@pytest.mark.parametrize(
    ("head", "midway", "expected"),
    [
        (record(22, HELLO), False, True),
        (record(22, handshake(2, server_hello())), False, True),
        (alert(2, 40), False, True),
        (DATA, False, False),
        (DATA + DATA, True, True),
        (b"GET / HTTP/1.1\r\n", True, False),
        (b"\x16\x03\x01\0\x20\x01\0\0\x1c\x07\x07", False, False),
        (b"\x16\x03\x09\0\x20\x01", False, False),
        (b"\x16\x03\x01\0\0\x01", False, False),
        (b"", False, False),
    ],
    ids=["client", "server", "alert", "data", "data midway", "http", "version", "major", "empty", "nothing"],
)
def test_what_begins_tls(head: bytes, midway: bool, expected: bool) -> None:
    assert begins_tls(head, midway=midway) == expected


def test_header_at_the_end() -> None:
    assert not is_header(b"\x17\x03\x03\0", 0)
    assert is_header(b"\x17\x03\x03\0\0", 0)
    assert not is_header(b"\x17\x03\x03\x48\x01", 0)


@given(st.binary(max_size=400), st.booleans(), st.integers(0, 400), st.integers(1, 50))
def test_any_bytes(data: bytes, midway: bool, gap: int, size: int) -> None:
    gaps = [(gap, min(gap + size, len(data)), size)] if gap < len(data) else []
    side = wire(data, *gaps, midway=midway)
    ends = [found.end for found in split_records(side)]
    assert ends == sorted(ends)
    for message in read_flight(side).messages:
        assert 0 <= message.start <= message.end <= len(data)
    begins_tls(data, midway=midway)


@given(st.data())
def test_damaged_flight(data: st.DataObject) -> None:
    whole = record(22, handshake(2, server_hello()) + handshake(11, bytes(50))) + record(22, handshake(14, b"")) + DATA
    body = bytearray(whole + record(22, handshake(1, client_hello())))
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    for message in read_flight(wire(bytes(body), midway=data.draw(st.booleans()))).messages:
        assert 0 <= message.start <= message.end <= len(body)
