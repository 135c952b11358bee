"""Exchanges with servers that answer, fail, send elsewhere, and talk too much."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from kubeshark.core_capture.store.places.aws import _http as _aws_http
from kubeshark.core_capture.store.places.aws._http import exchange
from kubeshark.errors import StoreError


class Answers:
    """A server that gives one answer a connection, in turn, the last one for ever."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/x"
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(1 << 16))
                connection.sendall(self._answers[0] if len(self._answers) == 1 else self._answers.pop(0))

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


def answer(status: str, body: bytes = b"", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_aws_http.time, "sleep", lambda _: None)


@pytest.fixture
def opened() -> Iterator[list[Answers]]:
    made: list[Answers] = []
    yield made
    for each in made:
        each.close()


def test_failures_are_tried_again(opened: list[Answers]) -> None:
    opened.append(server := Answers(b"", answer("503 Busy", b"no"), answer("200 OK", b"yes")))
    assert exchange(server.url, {"X-A": "b"}, b"body", method="POST") == (200, b"yes")
    assert len(server.requests) == 3
    assert b"x-a: b" in server.requests[0].lower()


def test_refusals_are_not(opened: list[Answers]) -> None:
    opened.append(server := Answers(answer("403 No", b"why")))
    assert exchange(server.url, {}) == (403, b"why")
    assert len(server.requests) == 1


def test_a_server_that_keeps_failing_has_the_last_word(opened: list[Answers]) -> None:
    opened.append(server := Answers(answer("500 No", b"why")))
    assert exchange(server.url, {}) == (500, b"why")
    assert len(server.requests) == 3


def test_nobody_is_followed(opened: list[Answers]) -> None:
    opened.append(other := Answers(answer("200 OK", b"other")))
    opened.append(server := Answers(answer("302 Found", b"", f"Location: {other.url}\r\n")))
    assert exchange(server.url, {"Authorization": "secret"})[0] == 302
    assert other.requests == []


@pytest.mark.parametrize(
    ("said", "why"),
    [(answer("200 OK", b"x" * 70_000), "more than 65,536 bytes"), (b"nonsense\r\n\r\n", "cannot be reached")],
)
def test_what_is_no_answer(opened: list[Answers], said: bytes, why: str) -> None:
    opened.append(server := Answers(said))
    with pytest.raises(StoreError, match=why) as raised:
        exchange(f"{server.url}?token=secret", {})
    assert "secret" not in str(raised.value)


def test_proxies_are_for_what_is_far(opened: list[Answers], monkeypatch: pytest.MonkeyPatch) -> None:
    opened.append(proxy := Answers(answer("200 OK", b"proxy")))
    opened.append(server := Answers(answer("200 OK", b"itself")))
    monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/x"))
    monkeypatch.delenv("no_proxy", raising=False)
    assert exchange(server.url, {}) == (200, b"itself")
    assert exchange(server.url, {}, through_proxy=True) == (200, b"proxy")


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(StoreError, match="cannot be reached: Connection refused"):
        exchange(f"http://127.0.0.1:{port}/", {})
