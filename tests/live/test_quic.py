"""HTTP/3 between a real server and a real client (aioquic) over UDP sockets, with and without the client's key log."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kubeshark.pipeline import Entry, FileDissection, Plugins
from tests.pipeline.tls._exchange import certificate_file

from ._relay import Relay
from ._servers import free_port

pytest.importorskip("aioquic", reason="aioquic is not installed: it is in the extra named test")
import socket

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, QuicEvent

PAGE = b"page" * 10_000


class HttpServer(QuicConnectionProtocol):
    """Answers every request with the same page."""

    http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic)
        for each in self.http.handle_event(event) if self.http else ():
            if isinstance(each, HeadersReceived) and self.http:
                self.http.send_headers(each.stream_id, [(b":status", b"200"), (b"server", b"aioquic")])
                self.http.send_data(each.stream_id, PAGE, end_stream=True)
                self.transmit()


class HttpClient(QuicConnectionProtocol):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.http = H3Connection(self._quic)
        self.bodies: dict[int, bytes] = {}
        self.ended: dict[int, asyncio.Event] = {}

    async def get(self, path: str) -> bytes:
        stream = self._quic.get_next_available_stream_id()
        self.ended[stream], self.bodies[stream] = asyncio.Event(), b""
        fields = {":method": "GET", ":scheme": "https", ":authority": "shop.example", ":path": path}
        self.http.send_headers(stream, [(a.encode(), b.encode()) for a, b in fields.items()], end_stream=True)
        self.transmit()
        await asyncio.wait_for(self.ended[stream].wait(), 10)
        return self.bodies[stream]

    def quic_event_received(self, event: QuicEvent) -> None:
        for each in self.http.handle_event(event):
            if isinstance(each, DataReceived):
                self.bodies[each.stream_id] += each.data
                if each.stream_ended:
                    self.ended[each.stream_id].set()


async def talk(server_port: int, relay_port: int, pem: Path, keys: Path, paths: Sequence[str], retry: bool) -> None:
    server = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    server.load_cert_chain(pem)
    listening = await serve("127.0.0.1", server_port, configuration=server, create_protocol=HttpServer, retry=retry)
    with keys.open("w") as log:
        client = QuicConfiguration(
            alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE, server_name="shop.example", secrets_log_file=log
        )
        async with connect(
            "127.0.0.1", relay_port, configuration=client, create_protocol=HttpClient, local_port=0
        ) as connection:
            assert isinstance(connection, HttpClient)
            assert await asyncio.gather(*map(connection.get, paths)) == [PAGE] * len(paths)
    listening.close()


def entries(folder: Path, relay: Relay, kfl: str, keylogs: Sequence[Path] = ()) -> list[Entry]:
    (folder / "live.pcap").write_bytes(relay.pcap)
    with FileDissection([str(folder / "live.pcap")], kfl, plugins=Plugins(), keylogs=keylogs) as dissection:
        found = list(dissection)
        assert dissection.problems == []
        return found


@pytest.mark.parametrize("retry", [False, True], ids=["", "retry"])
def test_http3(tmp_path: Path, retry: bool) -> None:
    port, keys = free_port(socket.SOCK_DGRAM), tmp_path / "keys.log"
    paths = [f"/page/{number}" for number in range(5)]
    with Relay(port, shown_port=443, datagrams=True) as relay:
        asyncio.run(talk(port, relay.port, certificate_file(tmp_path), keys, paths, retry))
    (handshake,) = entries(tmp_path, relay, "quic")
    assert [handshake.get(name) for name in ("quic_sni", "quic_alpn", "quic_version")] == ["shop.example", "h3", 1]
    answer = handshake.to_dict()["response"]
    assert answer["serverHello"]["version"] == "TLS 1.3"
    assert ("after" in answer) == retry
    assert entries(tmp_path, relay, "http") == []
    found = entries(tmp_path, relay, "http", [keys])
    assert sorted(str(entry.get("path")) for entry in found) == paths  # they were asked at once
    for entry in found:
        assert (entry.get("status_code"), entry.get("http_version"), entry.error) == (200, "HTTP/3", None)
        response = entry.to_dict()["response"]
        assert (response["headers"], response["content"]["text"]) == (
            {":status": "200", "server": "aioquic"},
            PAGE.decode(),
        )
