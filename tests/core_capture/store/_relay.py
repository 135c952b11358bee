"""A relay between a client and an S3 server that does to chosen requests what networks and servers do."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Fault", "Relay", "relay"]

Fault = str
"""
500, 503, 403  the server is never asked, this is the answer; a body may follow: "403 <Code>…"
cut-request    the connection ends before the server is asked
cut-answer     the server is asked, its answer never comes
half-answer    half of the answer's body comes, then the connection ends
slow           the server is asked 0.2 seconds later; "slow 2": two
careless       the server is not told under which condition (If-Match, If-None-Match) it was asked
flip           one bit in the middle of the answer's body is another
"""


class Relay:
    """Counts requests; `plan` says what happens to each: (number from 1, method, path with query) → fault or None."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.plan: Callable[[int, str, str], Fault | None] = lambda _number, _method, _path: None
        self.seen: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        self.endpoint = ""

    def judge(self, method: str, path: str) -> Fault | None:
        with self.lock:
            self.seen.append((method, path))
            return self.plan(len(self.seen), method, path)


@contextmanager
def relay(target: int) -> Iterator[Relay]:
    """Relay to a port of this machine until the block ends."""
    state = Relay(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            fault = state.judge(self.command, self.path)
            if fault == "cut-request":
                self.cut()
                return
            if fault and fault[0].isdigit():
                status, _, text = fault.partition(" ")
                self.answer(int(status), {"content-type": "application/xml"}, f"<Error>{text}</Error>".encode())
                return
            if fault and fault.startswith("slow"):
                time.sleep(float(fault.partition(" ")[2] or 0.2))
            upstream = http.client.HTTPConnection("127.0.0.1", state.target, timeout=20)
            try:
                upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if fault != "careless" or name.lower() not in ("if-match", "if-none-match"):
                        upstream.putheader(name, value)
                upstream.endheaders(body)
                found = upstream.getresponse()
                content, headers = found.read(), dict(found.getheaders())
            finally:
                upstream.close()
            if fault == "cut-answer":
                self.cut()
                return
            if fault == "flip" and content:
                changed = bytearray(content)
                changed[len(changed) // 2] ^= 1
                content = bytes(changed)
            self.answer(found.status, headers, content, half=fault == "half-answer")

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

        def answer(self, status: int, headers: dict[str, str], content: bytes, *, half: bool = False) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = headers.get("content-length") or headers.get("Content-Length")
            self.send_header("content-length", length if self.command == "HEAD" and length else str(len(content)))
            self.end_headers()
            if self.command == "HEAD":
                return
            self.wfile.write(content[: len(content) // 2] if half else content)
            if half:
                self.cut()

        def cut(self) -> None:
            self.close_connection = True
            with suppress(OSError):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # the client went away
                super().handle()

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    state.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
