"""A web server that does what a path says."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class WebServer:
    """Its address, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.stopped = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.asked.append((self.command, self.path, headers, body))
                what, _, rest = self.path[1:].partition("/")
                getattr(outer, f"do_{what}")(self, rest)

            do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
        handler.send_response(status, "Said So")
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def do_say(self, handler: BaseHTTPRequestHandler, text: str) -> None:
        self.answer(handler, 200, text.encode(), X_Kind="plain")

    def do_status(self, handler: BaseHTTPRequestHandler, number: str) -> None:
        self.answer(handler, int(number), b"")

    def do_to(self, handler: BaseHTTPRequestHandler, target: str) -> None:
        status, _, url = target.partition("/")
        self.answer(handler, int(status), b"", Location=url)

    def do_large(self, handler: BaseHTTPRequestHandler, size: str) -> None:
        self.answer(handler, 200, b"x" * int(size))

    def do_endless(self, handler: BaseHTTPRequestHandler, _: str) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while not self.stopped.is_set():
                handler.wfile.write(b"x" * 65536)
        except OSError:
            return

    def do_slow(self, handler: BaseHTTPRequestHandler, _: str) -> None:
        """A byte of a header now and then."""
        try:
            while not self.stopped.is_set():
                handler.wfile.write(b"X")
                handler.wfile.flush()
                time.sleep(0.02)
        except OSError:
            return

    def do_short(self, handler: BaseHTTPRequestHandler, _: str) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"not a thousand")

    def do_headers(self, handler: BaseHTTPRequestHandler, count: str) -> None:
        handler.send_response(200)
        for number in range(int(count)):
            handler.send_header(f"X-{number}", "v")
        handler.end_headers()

    def do_nonsense(self, handler: BaseHTTPRequestHandler, _: str) -> None:
        handler.wfile.write(b"\x00\xff nonsense\r\n\r\n")


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()
