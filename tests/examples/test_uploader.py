"""The uploader example against a real web server: files arrive whole, in order, with the token; failures are told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kubeshark.core_capture.store import Identity
from kubeshark.pipeline import Pipeline, Plugins
from kubeshark.pipeline.intake import _imports
from kubeshark.pipeline.plugins._trial import _python_module
from tests.pipeline._traffic import Capture, Connection


class Server(ThreadingHTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[str, str, bytes]] = []
        self.status = 201


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers.get("Authorization", ""), body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def uploader(root: Path) -> Any:
    class Named:
        id, label, entry = "uploader", "uploader", "uploader.py"

    return _python_module(root / "examples" / "plugins" / "python" / "uploader", Named())  # type: ignore[arg-type]


def imported(uploader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: object) -> Any:
    monkeypatch.setattr(_imports, "installed_hooks", lambda: frozenset({"segment_sealed"}))
    capture = Capture()
    Connection(capture).open().ask().answer()
    (tmp_path / "a.pcap").write_bytes(capture.pcap())
    plugins = Plugins(local=[("uploader", uploader)], settings={"uploader": settings})
    assert [str(problem) for problem in plugins.take_problems()] == []
    with plugins, Pipeline.open(tmp_path / "store", identities=[Identity.generate()], plugins=plugins) as pipeline:
        return pipeline.import_file(tmp_path / "a.pcap")


def test_data_then_index_with_the_token(
    server: Server, uploader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{server.server_port}/lab/"
    assert imported(uploader, tmp_path, monkeypatch, url=url, token="t").problems == ()
    paths = [path for path, _, _ in server.got]
    assert [path.partition(".")[2] for path in paths] == ["pcap.zst.age", "idx.age"]
    for path, token, body in server.got:
        assert path.startswith("/lab/")
        assert token == "Bearer t"
        assert body == (tmp_path / "store" / path.removeprefix("/lab/")).read_bytes()
        assert body.startswith(b"age-encryption.org/v1")


def test_a_refusal_is_a_problem_of_the_import(
    server: Server, uploader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status = 507
    (problem,) = imported(uploader, tmp_path, monkeypatch, url=f"http://localhost:{server.server_port}").problems
    assert "the server answered 507" in problem
    assert (tmp_path / "store").is_dir()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"url": "http://example.test/"}, "is not https"),
        ({"url": "ftp://localhost/"}, "is not https"),
        ({}, "url: is required"),
    ],
)
def test_addresses_that_are_refused(uploader: Any, settings: dict[str, str], reason: str) -> None:
    with Plugins(local=[("uploader", uploader)], settings={"uploader": settings}) as plugins:
        (problem,) = plugins.take_problems()
    assert reason in str(problem)
