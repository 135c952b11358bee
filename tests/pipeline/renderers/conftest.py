"""One entry of every kind that the built-in dissectors make, as hostile as they can be."""

from __future__ import annotations

from struct import pack
from typing import Any

import numpy as np
import pytest

from kubeshark.core_capture import FLOW
from kubeshark.extension_api import Message, MessageKind, ProtocolSpec
from kubeshark.pipeline.dissectors import CONN, conn_message
from kubeshark.pipeline.dissectors.network import dns, icmp, raw
from kubeshark.pipeline.dissectors.web import http1, http2, ws

from ..dissectors._streams import FakeStream, tcp, udp
from ..dissectors.web._http2_bytes import PREFACE, Talker, grpc_message
from ._entries import FakeEntry

REQUEST = (
    b'POST /a"\\\x1b[2J?q=\xe2\x80\xae1&q=2 HTTP/1.1\r\nHost: h\r\nX-"Odd"\\: \x1b]0;title\x07\r\n'
    b'Accept: a\r\naccept: b\r\nCookie: sid="x"; \xff=\xfe\r\nContent-Length: 11\r\n\r\nline\r\n\x1b[31m'
)
RESPONSE = (
    b"HTTP/1.1 404 Not Found\r\nContent-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\n\xff\0\xfe\r\n0\r\nSum: 1\r\n\r\n"
)
QUERY = pack(">6H", 7, 0x0100, 1, 0, 0, 0) + b'\x05a"\\\x1b.\x04test\0' + pack(">HH", 16, 1)
ANSWER = pack(">6H", 7, 0x8183, 1, 1, 0, 1) + QUERY[12:] + b"\xc0\x0c" + pack(">HHIH", 16, 1, 60, 5) + b'\x04"\x1b[m'
ANSWER += b"\0" + pack(">HHIH", 41, 1232, 0, 0)
TRUNCATED = QUERY[:2] + b"\x83\x80" + QUERY[4:]
PING, PONG = pack(">BBHHH", 8, 0, 0, 7, 1), pack(">BBHHH", 0, 0, 0, 7, 1)
IPV4 = pack(">BBHHHBBH", 0x45, 0, 28, 0, 0, 64, 17, 0) + bytes((192, 0, 2, 1, 198, 51, 100, 2))
NETWORK = {"transport": "tcp", "retransmissions": 0, "outOfOrder": 0, "gaps": 0, "rttUs": 0}
GRPC = ("content-type", "application/grpc")
CALLED = Talker(PREFACE).request(1, "POST", '/a"\\/\x1b[2J', GRPC, end=False).data(1, grpc_message(b"\x0a\x01\x1b"))
RETURNED = Talker().response(1, 200, GRPC, ("grpc-status", "5"), ("grpc-message", '"%1B[2J\\'), end=True)
GQL = b'{"query": "query \\"\\u001b[2J { a }", "variables": {"\\u001b": 1}}'
POSTED = b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(GQL) + GQL
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: \x1b[2J\ndata: \x1b]0;x\x07\n\n"


def entry(module: Any, spec: ProtocolSpec, stream: FakeStream, count: int = 2) -> FakeEntry:
    return FakeEntry(spec, tuple(module.dissect(spec, [stream])[0][:count]))


def icmp_stream(*payloads: tuple[int, bytes]) -> FakeStream:
    return udp(*payloads, transport="icmp", port=0)


ENTRIES = {
    "http": lambda: entry(http1, http1.HTTP1, tcp(REQUEST, RESPONSE)),
    "http request": lambda: entry(http1, http1.HTTP1, tcp(REQUEST)),
    "http response": lambda: entry(http1, http1.HTTP1, tcp(b"", RESPONSE)),
    "http damaged": lambda: entry(http1, http1.HTTP1, tcp(b"?\r\n\r\n")),
    "http events": lambda: entry(http1, http1.HTTP1, tcp(b"", EVENTS)),
    "gql": lambda: entry(http1, http1.protocols()[2], tcp(POSTED)),
    "http2": lambda: entry(http2, http2.HTTP2, tcp(Talker(PREFACE).request(1, "GET", '/\x1b"').said)),
    "grpc": lambda: entry(http2, http2.protocols()[1], tcp(CALLED.said, RETURNED.said)),
    "ws": lambda: entry(ws, ws.WS, tcp(b"\x81\x84\0\0\0\0\x1b[2J"), 1),
    "ws close": lambda: entry(ws, ws.WS, tcp(b"", b"\x88\x06\x03\xe8\x1b[2J"), 1),
    "ws binary": lambda: entry(ws, ws.WS, tcp(b"", b"\x82\x02\xff\x1b"), 1),
    "dns": lambda: entry(dns, dns.DNS, udp((0, QUERY), (1, ANSWER))),
    "dns request": lambda: entry(dns, dns.DNS, udp((0, QUERY))),
    "dns response": lambda: entry(dns, dns.DNS, udp((1, ANSWER))),
    "dns truncated": lambda: entry(dns, dns.DNS, udp((0, QUERY), (1, TRUNCATED))),
    "dns damaged": lambda: entry(dns, dns.DNS, udp((0, b"?"))),
    "icmp": lambda: entry(icmp, icmp.ICMP, icmp_stream((0, PING), (1, PONG))),
    "icmp reply": lambda: entry(icmp, icmp.ICMP, icmp_stream((1, PONG))),
    "icmp error": lambda: entry(icmp, icmp.ICMP, icmp_stream((0, pack(">BBHI", 3, 3, 0, 0) + IPV4 + bytes(8)))),
    "icmp damaged": lambda: entry(icmp, icmp.ICMP, icmp_stream((0, b""))),
    "tcp": lambda: entry(raw, raw.RAW["tcp"], tcp(b"\x1b[2J\xff"), 1),
    "udp": lambda: entry(raw, raw.RAW["udp"], udp((0, b"\x1b[2J\xff")), 1),
    "sctp": lambda: entry(raw, raw.RAW["sctp"], udp((0, b"\0\0\0\4"), transport="sctp"), 1),
    "conn": lambda: FakeEntry(CONN["tcp"], (conn_message(np.zeros(1, FLOW)[0], ["HTTP"], NETWORK, 9),)),
    "plugin": lambda: FakeEntry(PLUGIN, (PLUGIN_MESSAGE,)),
}

PLUGIN = ProtocolSpec(
    name="toy",
    abbr="TOY",
    long_name="Toy protocol",
    variables={
        "toy_verb": "string",
        "toy_object": "string",
        "toy_count": "int",
        "toy_ok": "bool",
        "toy_share": "double",
        "toy_tags": "list",
        "toy_map": "map",
        "toy_payload": "bytes",
        "toy_absent": "string",
    },
)
PLUGIN_MESSAGE = Message(
    MessageKind.REQUEST,
    0,
    0,
    1,
    fields={
        "toy_verb": 'G"ET',
        "toy_object": "a\n\u202e",
        "toy_count": -3,
        "toy_ok": False,
        "toy_share": 0.5,
        "toy_tags": ["a", "b"],
        "toy_map": {'k"': "v\\"},
        "toy_payload": b"\x1b",
    },
)


@pytest.fixture(params=ENTRIES)
def any_entry(request: pytest.FixtureRequest) -> FakeEntry:
    return ENTRIES[request.param]()


@pytest.fixture(scope="session")
def entries() -> dict[str, FakeEntry]:
    return {name: make() for name, make in ENTRIES.items()}
