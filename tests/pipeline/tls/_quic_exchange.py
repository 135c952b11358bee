"""HTTP/3 connections between two ends of aioquic, datagram by datagram, with their key log."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.core_capture.reference._packets import A, B, record, udp

from ._exchange import MS, PCAP_HEADER, START_NS, certificate_file

__all__ = ["QuicExchange", "quic_exchange"]

ENDS = (("192.0.2.1", 40_000), ("192.0.2.2", 443))


@dataclass
class QuicExchange:
    datagrams: list[tuple[int, bytes]] = field(default_factory=list)
    keys: str = ""

    def pcap(self) -> bytes:
        ways = (((40_000, 443), (A, B)), ((443, 40_000), (B, A)))
        packets = [udp(data, *ways[way]) for way, data in self.datagrams]
        return PCAP_HEADER + b"".join(record(each, START_NS + at * MS) for at, each in enumerate(packets))


def quic_exchange(
    calls: Sequence[tuple[dict[str, str], bytes, bytes]],
    *,
    suite: str = "AES_128_GCM_SHA256",
    versions: Sequence[int] = (1,),
    update_keys: bool = False,
) -> QuicExchange:
    """Make requests (header fields, body, answer's body), each answered before the next."""
    pytest.importorskip("aioquic", reason="aioquic is not installed: it is in the extra named test")
    from aioquic.h3.connection import H3Connection
    from aioquic.h3.events import DataReceived, HeadersReceived
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection
    from aioquic.tls import CipherSuite

    found, log = QuicExchange(), StringIO()
    common: dict[str, Any] = {"alpn_protocols": ["h3"], "supported_versions": list(versions)}
    client_side = QuicConfiguration(
        is_client=True,
        server_name="shop.example",
        verify_mode=ssl.CERT_NONE,
        secrets_log_file=log,
        cipher_suites=[CipherSuite[suite]],
        original_version=versions[0],
        **common,
    )
    server_side = QuicConfiguration(is_client=False, **common)
    with TemporaryDirectory() as folder:
        server_side.load_cert_chain(certificate_file(Path(folder)))
    client = QuicConnection(configuration=client_side)
    client.connect(ENDS[1], now=0.0)
    server = QuicConnection(
        configuration=server_side, original_destination_connection_id=client.original_destination_connection_id
    )
    ends = (client, server)
    now = 0.0

    def pump() -> None:
        nonlocal now
        for _ in range(20):
            moved = False
            for way in range(2):
                for data, _ in ends[way].datagrams_to_send(now=now):
                    found.datagrams.append((way, data))
                    ends[1 - way].receive_datagram(data, ENDS[way], now=now)
                    moved = True
            now += 0.01
            if not moved:
                return

    pump()
    asking, answering = H3Connection(client), H3Connection(server)

    def events(end: QuicConnection, http: H3Connection) -> list[Any]:
        seen: list[Any] = []
        while event := end.next_event():
            seen += http.handle_event(event)
        return seen

    events(client, asking), events(server, answering)
    for number, (fields, body, answer) in enumerate(calls):
        stream = client.get_next_available_stream_id()
        head = [(name.encode(), value.encode()) for name, value in fields.items()]
        asking.send_headers(stream, head, end_stream=not body)
        if body:
            asking.send_data(stream, body, end_stream=True)
        pump()
        got = events(server, answering)
        assert any(isinstance(event, HeadersReceived) for event in got)
        answering.send_headers(
            stream, [(b":status", b"200"), (b"content-type", b"text/plain"), (b"x-n", b"%d" % number)]
        )
        answering.send_data(stream, answer, end_stream=True)
        pump()
        seen = events(client, asking)
        assert b"".join(event.data for event in seen if isinstance(event, DataReceived)) == answer
        if update_keys:
            (client if number % 2 else server).request_key_update()
    found.keys = log.getvalue()
    return found
