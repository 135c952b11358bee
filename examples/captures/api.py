"""The web service of the recording: orders as JSON, with what real services do: sessions, chunks, delays, failures."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

WEBSOCKET_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
ORDERS = {
    1: {"id": 1, "item": "tea", "count": 2, "total": 9.5},
    2: {"id": 2, "item": "cups", "count": 6, "total": 30.0},
}


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "orders/1.0"
    sys_version = ""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        match url.path:
            case "/orders":
                wanted = parse_qs(url.query).get("item", [])
                self.answer(200, [order for order in ORDERS.values() if not wanted or order["item"] in wanted])
            case "/orders/stream":
                self.stream()
            case "/slow":
                time.sleep(0.7)
                self.answer(200, {"waited": 0.7})
            case "/boom":
                self.answer(500, {"error": "database is down", "trace": "orders.py:42"})
            case "/old":
                self.answer(302, None, Location="/orders")
            case "/private" if self.headers["Authorization"] is None:
                self.answer(401, {"error": "who are you?"}, **{"WWW-Authenticate": 'Basic realm="orders"'})
            case "/private":
                self.answer(200, {"hello": "ada"})
            case "/live":
                self.websocket()
            case _:
                self.answer(404, {"error": "no such order"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/login":
            self.answer(204, None, **{"Set-Cookie": "session=8f14e45f; Path=/; HttpOnly"})
        elif self.headers["Content-Type"] == "application/json":
            self.answer(201, {"id": 3, **json.loads(body)}, Location="/orders/3")
        else:
            self.answer(200, {"received": len(body)})

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(409, {"error": "somebody was faster"})

    def do_DELETE(self) -> None:
        self.answer(204, None)

    def answer(self, status: int, content: object, **headers: str) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if content is not None:
            self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self) -> None:
        """Answer in chunks, with a pause between them and a trailer behind."""
        self.send_response(200)
        for name, value in (
            ("Content-Type", "application/x-ndjson"),
            ("Transfer-Encoding", "chunked"),
            ("Trailer", "Digest"),
        ):
            self.send_header(name, value)
        self.end_headers()
        for order in ORDERS.values():
            line = json.dumps(order).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            time.sleep(0.05)
        self.wfile.write(b"0\r\nDigest: none\r\n\r\n")

    def websocket(self) -> None:
        """Switch protocols and echo one text message, in two frames; then close."""
        accept = base64.b64encode(hashlib.sha1(self.headers["Sec-WebSocket-Key"].encode() + WEBSOCKET_KEY).digest())
        self.send_response(101)
        for name, value in (
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept.decode()),
        ):
            self.send_header(name, value)
        self.end_headers()
        head = self.rfile.read(6)
        masked = self.rfile.read(head[1] & 0x7F)
        text = bytes(byte ^ head[2 + at % 4] for at, byte in enumerate(masked))
        half = len(text) // 2
        self.wfile.write(bytes([0x01, half]) + text[:half] + bytes([0x80, len(text) - half]) + text[half:])
        self.wfile.write(b"\x88\x02\x03\xe8")  # close, 1000
        self.rfile.read(8)
        self.close_connection = True


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Api).serve_forever()
