"""Diameter messages over TCP and SCTP; bytes made by hand from RFC 6733."""

from __future__ import annotations

from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Handover, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.access import diameter

from .._streams import FakeStream, tcp, udp


def avp(code: int, value: bytes, vendor: int = 0) -> bytes:
    head = pack(">I", vendor) if vendor else b""
    length = 8 + len(head) + len(value)
    flags = 0xC0 if vendor else 0x40
    return pack(">II", code, flags << 24 | length) + head + value + bytes(-length % 4)


def message(command: int, *avps: bytes, flags: int = 0x80, hop: int = 7, application: int = 4) -> bytes:
    body = b"".join(avps)
    return pack(">IIIII", 1 << 24 | 20 + len(body), flags << 24 | command, application, hop, 9) + body


SESSION, HOST = avp(263, b"host;1;2"), avp(264, b"a.example")
CCR = message(272, SESSION, HOST, avp(416, pack(">I", 1)), avp(1, b"ada"))
CCA = message(272, SESSION, avp(268, pack(">I", 2001)), HOST, flags=0x40)
TLS = b"\x16\x03\x01\0\x05hello"


def found_in(stream: FakeStream) -> list[Message]:
    return [found for found in diameter.dissect(diameter.DIAMETER, [stream])[0] if isinstance(found, Message)]


def is_mine(stream: FakeStream) -> bool:
    return diameter.probe(diameter.DIAMETER, [stream]) == [Verdict.MINE]


def listed(*avps: bytes) -> list[dict[str, Any]]:
    (found,) = found_in(tcp(message(272, *avps), port=3868))
    assert found.detail
    return list(found.detail()[1]["avps"])


def test_exchange() -> None:
    request, response = found_in(tcp(CCR, CCA, port=3868))
    assert request.fields == {
        "diameter_method": "Credit-Control",
        "diameter_command_code": 272,
        "diameter_application_id": 4,
        "diameter_application": "Credit Control",
        "diameter_request": True,
        "diameter_request_length": len(CCR),
        "diameter_session_id": "host;1;2",
        "diameter_origin_host": "a.example",
        "diameter_username": "ada",
        "diameter_summary": "host;1;2",
    }
    assert (request.key, response.key, response.kind) == ("0x00000007", "0x00000007", MessageKind.RESPONSE)
    assert response.fields["diameter_result_code"] == response.fields["status_code"] == 2001
    assert response.fields["diameter_result_name"] == "DIAMETER_SUCCESS"
    assert request.detail
    assert response.detail
    shown = request.detail()[1]
    assert (shown["commandCode"], shown["hopByHop"], shown["flags"]) == (272, "0x00000007", ["request"])
    assert shown["avps"][2] == {"code": 416, "vendor": "", "name": "CC-Request-Type", "value": "INITIAL_REQUEST"}
    assert response.detail()[1]["resultCode"] == 2001


def test_both_ends_ask() -> None:
    found = found_in(tcp(message(280, HOST) + message(280, HOST, flags=0), message(280, HOST), port=3868))
    assert [part.key for part in found] == ["0x00000007", "0x00000007 from server", "0x00000007 from server"]


def test_experimental_result() -> None:
    result = avp(297, avp(266, pack(">I", 10415)) + avp(298, pack(">I", 5001)))
    (found,) = found_in(tcp(b"", message(316, SESSION, result, flags=0), port=3868))
    assert found.fields["diameter_method"] == "Update-Location"
    assert (found.fields["diameter_result_code"], found.fields["diameter_result_name"]) == (
        5001,
        "DIAMETER_ERROR_USER_UNKNOWN",
    )


VALUES = [
    (avp(257, b"\0\1\xc0\0\x02\1"), "Host-IP-Address", "192.0.2.1"),
    (avp(257, b"\0\2" + bytes(15) + b"\1"), "Host-IP-Address", "::1"),
    (avp(257, b"\0\x08" + b"4912"), "Host-IP-Address", "4912"),
    (avp(257, b"\0"), "Host-IP-Address", "00"),
    (avp(55, pack(">I", 3_900_000_000)), "Event-Timestamp", "2023-08-02T21:20:00Z"),
    (avp(421, pack(">Q", 1 << 40)), "CC-Total-Octets", str(1 << 40)),
    (avp(421, b"\1"), "CC-Total-Octets", "01"),
    (avp(429, pack(">i", -2)), "Exponent", "-2"),
    (avp(2, b"hunter2"), "User-Password", "[redacted]"),
    (avp(25, b"\0\1"), "Class", "0001"),
    (avp(25, b"text"), "Class", "text"),
    (avp(1405, pack(">I", 34), 10415), "ULR-Flags", "34"),
    (avp(1450, b"key", 10415), "KASME", "[redacted]"),
    (avp(9999, b"\xff", 424242), "AVP-9999", "ff"),
]


@pytest.mark.parametrize(("encoded", "name", "value"), VALUES, ids=[f"{n}-{v[1]}" for n, v in enumerate(VALUES)])
def test_value(encoded: bytes, name: str, value: str) -> None:
    (shown,) = listed(encoded)
    assert (shown["name"], shown["value"]) == (name, value)


def test_groups() -> None:
    (shown,) = listed(avp(443, avp(450, pack(">I", 1)) + avp(444, b"00101")))
    assert shown["value"] == [
        {"code": 450, "vendor": "", "name": "Subscription-Id-Type", "value": "END_USER_IMSI"},
        {"code": 444, "vendor": "", "name": "Subscription-Id-Data", "value": "00101"},
    ]


def test_groups_do_not_nest_without_end() -> None:
    nested = avp(1, b"x")
    for _ in range(30):
        nested = avp(279, nested)
    shown: Any = listed(nested)
    depth = 0
    while isinstance(shown, list):
        shown, depth = shown[0]["value"], depth + 1
    assert depth == 8


def test_avp_that_does_not_fit() -> None:
    (found,) = found_in(tcp(message(272, SESSION, pack(">II", 264, 0x40 << 24 | 99)), port=3868))
    assert found.error == "malformed: AVP 1 does not fit"
    assert found.fields["diameter_session_id"] == "host;1;2"


def test_damage_between_messages() -> None:
    found = found_in(tcp(CCR + b"\xff" * 8 + CCR + CCR[:30], port=3868))
    assert [part.error for part in found] == [
        "",
        f"malformed: no message at {len(CCR)}",
        "",
        f"truncated: only 30 bytes of {len(CCR)} were captured",
    ]


def test_seen_from_the_middle() -> None:
    (found,) = found_in(tcp(CCR[30:] + CCR, port=3868, midway=True))
    assert found.start == len(CCR) - 30


def test_gap() -> None:
    wire = CCR[:24] + bytes(8) + CCR[32:] + CCR
    found = found_in(tcp(wire, port=3868, gaps={0: [(24, 32, 8)]}))
    assert [part.error for part in found] == ["gap: 8 bytes missing at 24", ""]


def test_tls_behind_the_capabilities() -> None:
    parts = diameter.dissect(diameter.DIAMETER, [tcp(CCR + TLS, CCA, port=3868)])[0]
    handover = parts[-1]
    assert isinstance(handover, Handover)
    assert [bytes(side.data) for side in handover.sides] == [TLS, b""]


def chunk(tsn: int, payload: bytes, ppid: int = 46, flags: int = 3) -> bytes:
    body = pack(">IHHI", tsn, 0, 0, ppid) + payload
    return pack(">BBH", 0, flags, 4 + len(body)) + body + bytes(-len(body) % 4)


def test_sctp_shows_chunks_and_messages() -> None:
    packets = ((0, chunk(1, CCR[:40], flags=2)), (0, chunk(2, CCR[40:], flags=1)), (1, chunk(1, CCA)))
    stream = udp(*packets, port=3868, transport="sctp")
    assert is_mine(stream)
    found = found_in(stream)
    assert [part.protocol for part in found] == ["sctp", "sctp", "sctp", "", ""]
    request, response = found[3:]
    assert (request.fields["diameter_method"], request.datagram, response.datagram) == ("Credit-Control", 0, 2)
    assert request.key == response.key


@pytest.mark.parametrize(
    ("payload", "port", "mine"),
    [
        (CCR, 3868, True),
        (CCR, 9999, True),
        (message(280), 3868, True),
        (message(280), 9999, False),
        (message(99999, avp(9, b"")), 9999, False),
        (CCR[:4] + b"\xff" + CCR[5:], 3868, False),
        (b"\x02" + CCR[1:], 3868, False),
        (b"", 3868, False),
    ],
)
def test_probe(payload: bytes, port: int, mine: bool) -> None:
    assert is_mine(tcp(payload, port=port)) is mine
    assert not is_mine(udp((0, payload), port=port))
    assert is_mine(udp((0, chunk(1, payload, 0)), port=port, transport="sctp")) is (mine and bool(payload))


def test_only_the_protocol_itself_is_probed_for() -> None:
    assert diameter.probe(diameter.SCTP, [tcp(CCR, port=3868)]) == [Verdict.NOT_MINE]


@given(st.binary(max_size=80), st.integers(0, len(CCR)), st.booleans())
def test_any_bytes(junk: bytes, at: int, midway: bool) -> None:
    wire = CCR[:at] + junk + CCR[at:] + CCA
    streams = [
        tcp(wire, wire, port=3868, midway=midway),
        udp((0, chunk(1, wire)), (1, junk), port=3868, transport="sctp"),
    ]
    for stream in streams:
        is_mine(stream)
        for found in found_in(stream):
            assert 0 <= found.start < found.end
            if found.detail:
                found.detail()
