"""A running `kubeshark serve`, asked over its port."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from websockets.sync.client import ClientConnection, connect

from kubeshark.hub.entries._batches import decode_batch


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]


class Hub:
    """A running `kubeshark serve`."""

    def __init__(self, url: str, store: Path | str = "", home: Path = Path()) -> None:
        self.store, self.home = store, home
        parts = urlsplit(url)
        assert parts.hostname and parts.port
        self.address, self.port = parts.hostname, parts.port
        self.token = parts.query.removeprefix("token=")

    def get(self, path: str, *, token: str | None = None, **headers: str) -> Answer:
        return self.ask("GET", path, token=token, **headers)

    def ask(self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str) -> Answer:
        """Ask for something; `body` is bytes, an iterable of bytes (sent in chunks), or becomes JSON."""
        token = self.token if token is None else token
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        if isinstance(body, dict | list):
            body, sent = json.dumps(body).encode(), {**sent, "Content-Type": "application/json"}
        with closing(http.client.HTTPConnection(self.address, self.port, timeout=60)) as connection:
            connection.request(method, path, body=body, headers={**sent, **headers})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()})

    def json(self, path: str, *, token: str | None = None) -> Any:
        """Return a document; the answer must be 200."""
        answer = self.get(path, token=token)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def socket(self, *, token: str | None = None, **headers: str) -> ClientConnection:
        """Open the WebSocket as a program does."""
        sent = {"Authorization": f"Bearer {token or self.token}", **headers}
        url = f"ws://{self.address}:{self.port}/api/v1/ws"
        return connect(url, subprotocols=["kubeshark.v1"], additional_headers=sent, compression=None, max_size=None)  # type: ignore[list-item]


class Results:
    """What one query of a WebSocket said: its messages, and its batches' columns joined."""

    def __init__(self, socket: ClientConnection, number: int) -> None:
        self._socket, self._number = socket, number
        self.said: list[dict[str, Any]] = []
        self.columns: dict[str, list[Any]] = {}
        self.sizes: list[int] = []
        self.cursors: list[str] = []
        self._strings: dict[str, list[str]] = {}

    def read(self, *, acknowledge: bool = True, timeout: float = 60) -> str:
        """Read one message; return its op, "batch" for one of columns."""
        message = self._socket.recv(timeout=timeout)
        if isinstance(message, str):
            self.said.append(json.loads(message))
            return str(self.said[-1]["op"])
        number, batch, columns, cursor = decode_batch(message, self._strings)
        assert (number, batch) == (self._number, len(self.sizes) + 1)
        for name, values in columns.items():
            self.columns.setdefault(name, []).extend(values)
        self.sizes.append(len(columns["id"]))
        self.cursors.append(cursor)
        if acknowledge:
            self._socket.send(json.dumps({"op": "ack", "id": number, "batch": batch}))
        return "batch"

    def to_the_end(self) -> dict[str, Any]:
        """Read until `done` or `error`, and return it."""
        while self.read() not in ("done", "error"):
            pass
        return self.said[-1]


def ask_socket(socket: ClientConnection, number: int, kfl: str = "", **more: Any) -> Results:
    socket.send(json.dumps({"op": "query", "id": number, "kfl": kfl, **more}))
    return Results(socket, number)


@contextmanager
def serving(
    store: Path | str,
    root: Path,
    home: Path,
    *,
    options: tuple[str, ...] = (),
    capture: str = "sample.pcapng",
    command: str = "serve",
    **environment: str,
) -> Iterator[Hub]:
    """Serve a new store that holds a capture of the examples."""
    environment |= {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    kubeshark = [sys.executable, "-m", "kubeshark"]
    sample = root / "examples" / "captures" / capture
    subprocess.run([*kubeshark, "import", sample, "--store", store], env=environment, check=True, capture_output=True)
    with subprocess.Popen(
        [*kubeshark, command, "--store", store, "--port", "0", *options],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        try:
            yield Hub(found.group(), store, home)
        finally:
            process.terminate()


@contextmanager
def serving_workers(folder: Path, urls: Sequence[str]) -> Iterator[Hub]:
    """Serve what workers have: `folder` holds the hub's home (hub) with its identity, and certificates (pki/hub)."""
    environment = {"HOME": str(folder / "hub"), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "kubeshark", "serve", "--store", str(folder / "own"), "--port", "0"]
    command += [each for url in urls for each in ("--worker", url)]
    with subprocess.Popen(
        [*command, "--tls", str(folder / "pki/hub")], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        try:
            yield Hub(found.group(), home=folder / "hub")
        finally:
            process.kill()


def entries(hub: Hub, kfl: str = "", **more: Any) -> list[dict[str, Any]]:
    """Return whole entries that match."""
    answer = hub.get(f"/api/v1/query?{urlencode({'kfl': kfl, 'limit': 100_000, 'form': 'entry', **more})}")
    return [json.loads(line) for line in answer.body.splitlines()]


def path(name: str, **parameters: Any) -> str:
    """Return the path of an endpoint with its parameters."""
    return f"/api/v1/{name}?{urlencode(parameters)}"
