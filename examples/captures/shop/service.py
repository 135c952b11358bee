"""What the shop's Python services share: HTTP with JSON, calls to each other, metrics. Runs in Debian's Python."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import prometheus_client
import requests

METRICS_PORT = 9102
IDLE_S = 8  # how long a connection may wait for its next request
PASSED_ON = ("X-Request-ID", "traceparent")
SECONDS = prometheus_client.Histogram("http_request_duration_seconds", "Time to answer.", ["method", "route"])
ANSWERS = prometheus_client.Counter("http_requests_total", "Requests answered.", ["method", "route", "status"])


@dataclass(frozen=True)
class Request:
    match: re.Match[str]
    query: dict[str, str]
    document: Any  # of a JSON body
    headers: dict[str, str]  # to be passed on to other services
    visitor: str


Answer = tuple[int, Any]  # status; a JSON document, or HTML as bytes
Route = tuple[str, str, Callable[[Request], Answer]]  # method, pattern of the path, what answers


def serve(name: str, port: int, routes: list[Route]) -> None:
    """Answer on `port`, and tell metrics on METRICS_PORT, until killed."""
    prometheus_client.start_http_server(METRICS_PORT)
    routes = [*routes, ("GET", "/healthz", lambda _: (200, {"status": "ok"}))]
    handler = type(name, (Handler,), {"routes": routes, "server_version": f"{name}/2.4"})
    server = ThreadingHTTPServer(("0.0.0.0", port), handler)
    server.serve_forever()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sys_version = ""
    timeout = IDLE_S
    wbufsize = -1  # an answer leaves in one piece
    disable_nagle_algorithm = True
    routes: list[Route] = []  # noqa: RUF012 - each service makes its own subclass

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status: int
        route, status, content = "none", 404, {"error": "not found", "path": url.path}
        for method, pattern, answer in self.routes:
            match = re.fullmatch(pattern, url.path)
            if method == self.command and match:
                route = pattern
                request = Request(
                    match,
                    {name: values[0] for name, values in parse_qs(url.query).items()},
                    json.loads(body) if body else None,
                    {name: self.headers[name] for name in PASSED_ON if name in self.headers},
                    self.headers.get("X-Visitor") or _visitor(self.headers.get("Cookie", "")),
                )
                with SECONDS.labels(method, pattern).time():
                    status, content = self.try_(answer, request)
                break
        ANSWERS.labels(self.command, route, status).inc()
        self.send(status, content)

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - http.server's names

    def try_(self, answer: Callable[[Request], Answer], request: Request) -> Answer:
        try:
            return answer(request)
        except requests.RequestException:
            return 502, {"error": "another service does not answer"}
        except Exception as error:  # noqa: BLE001 - as any framework does
            return 500, {"error": "internal error", "type": type(error).__name__, "detail": str(error)}

    def send(self, status: int, content: Any) -> None:
        html = isinstance(content, bytes)
        body = content if html else json.dumps(content, default=str).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", "text/html; charset=utf-8" if html else "application/json")
            self.send_header("Content-Length", str(len(body)))
        for name in PASSED_ON:
            if name in self.headers:
                self.send_header(name, self.headers[name])
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: there is nobody to read it."""


def _visitor(cookies: str) -> str:
    found = re.search(r"visitor=(\w+)", cookies)
    return found[1] if found else "nobody"


def traced(request: Request) -> dict[str, str]:
    """Return the headers of a call made for `request`: the trace goes on in a span of its own."""
    headers = {**request.headers, "Accept": "application/json", "X-Visitor": request.visitor}
    trace = request.headers.get("traceparent", f"00-{random.getrandbits(128):032x}-0-01")
    return {**headers, "traceparent": f"{trace[:35]}-{random.getrandbits(64):016x}-01"}


def connections() -> requests.Session:
    """Return a pool of kept connections that is tried again when one was closed meanwhile."""
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=10, max_retries=2))
    return session
