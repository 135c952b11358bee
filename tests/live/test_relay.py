"""The relay itself, between a real HTTP server of the standard library and its client."""

from __future__ import annotations

import http.client
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from kubeshark.extension_api import MessageKind

from ._relay import Relay


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"x" * 5000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_what_passes_is_recorded() -> None:
    server = HTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with Relay(server.server_port, shown_port=80) as relay:
            client = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=10)
            for _ in range(3):
                client.request("GET", "/a")
                assert len(client.getresponse().read()) == 5000
            client.close()
    finally:
        server.shutdown()
        server.server_close()
    entries = relay.entries("http")
    assert [(entry.get("method"), entry.get("status_code"), entry.dst.port) for entry in entries] == [
        ("GET", 200, 80)
    ] * 3
    assert entries[0].raw(MessageKind.RESPONSE).endswith(b"x" * 5000)


def test_datagrams() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        with (
            Relay(server.getsockname()[1], shown_port=9999, datagrams=True) as relay,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            client.sendto(b"ping", ("127.0.0.1", relay.port))
            data, back = server.recvfrom(100)
            server.sendto(data + b"-pong", back)
            client.settimeout(5)
            assert client.recv(100) == b"ping-pong"
    entries = relay.entries("udp")
    assert [entry.raw(MessageKind.EVENT) for entry in entries] == [b"ping", b"ping-pong"]
