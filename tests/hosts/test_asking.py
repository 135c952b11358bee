"""Plugins of each language ask the broker; what was granted works, nothing else, and whoever overdoes it is ended.

Another language adds its plugin (tests/hosts/asking/<language>) and its name to LANGUAGES.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kubeshark.errors import PluginError
from kubeshark.extension_api import SealedSegment
from kubeshark.extension_api._frame import DISSECT, FrameItem, decode_dissect
from kubeshark.extension_api._manifest import Manifest, read_manifest
from kubeshark.extension_api._permissions import Grants
from kubeshark.hosts import ForeignPlugin, Supervision
from kubeshark.hosts._supervisor import Poison
from kubeshark.hosts.broker import Broker
from kubeshark.hosts.broker import _broker as broker_module
from tests.hosts.broker.conftest import WebServer

ASKING = Path(__file__).parent / "asking"
LANGUAGES = ["js", "c", "go"]


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def asking_js() -> tuple[Path, Manifest]:
    return ASKING / "js", read_manifest(ASKING / "js")


@pytest.fixture(scope="session")
def asking_c(compile_c: Callable[[Path], tuple[Path, Manifest]]) -> tuple[Path, Manifest]:
    return compile_c(ASKING / "c")


@pytest.fixture(scope="session")
def asking_go(compile_go: Callable[[Path], tuple[Path, Manifest]]) -> tuple[Path, Manifest]:
    return compile_go(ASKING / "go")


class Asker:
    """A running plugin that asks for what it is told."""

    def __init__(self, built: tuple[Path, Manifest], own: Path, hosts: Sequence[str], paths: Sequence[str]) -> None:
        self.broker = Broker(Grants.parse(tuple(hosts), tuple(paths)), own_folder=own)
        self.plugin = ForeignPlugin(*built, Supervision(backoff_s=0.0), broker=self.broker)

    def order(self, name: str, path: str = "", source: str = "") -> str:
        """Return what it logged; PluginError with what it was refused."""
        self.plugin.take_log()
        self.plugin.segment_sealed(SealedSegment(name, path, 0, 0, 0, 0, 0, 0, 1, source))
        return self.plugin.take_log()[-1]

    def refused(self, name: str, path: str = "", source: str = "") -> str:
        with pytest.raises(PluginError) as refused:
            self.order(name, path, source)
        return refused.value.message


@pytest.fixture(params=LANGUAGES)
def asker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Asker]]:
    """Start it: `asker(hosts=[…], paths=[…])`; its own folder is tmp_path/own."""
    started: list[Asker] = []

    def start(hosts: Sequence[str] = (), paths: Sequence[str] = ()) -> Asker:
        built = request.getfixturevalue(f"asking_{request.param}")
        started.append(Asker(built, tmp_path / "own", hosts, paths))
        return started[-1]

    yield start
    for each in started:
        each.plugin.close()


def test_a_granted_host_answers(asker: Callable[..., Asker], web: WebServer) -> None:
    plugin = asker(hosts=[web.host])
    assert plugin.order("http", f"http://{web.host}/say/hello") == "200 Said So plain hello"
    assert plugin.order("http", f"http://{web.host}/say/again", "a body") == "200 Said So plain again"
    assert (web.asked[-1][0], web.asked[-1][3]) == ("POST", b"a body")
    assert web.asked[-1][2]["x-from"]
    assert 'permission "hosts: hooks.example" not granted' in plugin.refused("http", "http://hooks.example/")
    assert "not granted" in plugin.refused("http", "http://169.254.169.254/latest/meta-data/")
    assert "header" in plugin.refused("header", f"http://{web.host}/say/x")
    assert len(web.asked) == 2
    assert plugin.plugin.status.crashes == 0


def test_nothing_is_granted_by_default(asker: Callable[..., Asker], web: WebServer, tmp_path: Path) -> None:
    plugin = asker()
    assert f'permission "hosts: {web.host}" not granted' in plugin.refused("http", f"http://{web.host}/say/hello")
    assert 'permission "paths: data/f" not granted' in plugin.refused("write", "data/f", "x")
    assert 'permission "paths: /etc/passwd" not granted' in plugin.refused("read", "/etc/passwd")
    assert web.asked == []
    assert not (tmp_path / "own").exists()


def test_files_of_its_own(asker: Callable[..., Asker], tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "at-start").write_text("was there")
    plugin = asker(paths=["data"])
    plugin.plugin.process.start()
    assert plugin.plugin.take_log() == ["was there"]
    plugin.order("folder", "data/a/b")
    plugin.order("write", "data/a/b/f", "one")
    plugin.order("append", "data/a/b/f", " two")
    assert plugin.order("read", "data/a/b/f") == "one two"
    assert plugin.order("list", "data/a/b") == "f:file:7"
    plugin.order("move", "data/a/b/f", "data/g")
    plugin.order("delete", "data/a")
    assert plugin.order("list", "data") == "at-start:file:9 g:file:7"
    (own / "link").symlink_to("/etc/passwd")
    (own / "up").symlink_to("..")
    for path in ("data/link", "data/up/secret", "data/../secret", "/etc/passwd", "data//etc/passwd", "data/./g"):
        assert plugin.refused("read", path)
        assert plugin.refused("write", path, "x")
    plugin.plugin.close()
    assert (own / "at-stop").read_text() == "stopped"


def test_hot_hooks_cannot_ask(asker: Callable[..., Asker], web: WebServer) -> None:
    plugin = asker(hosts=[web.host])
    url = f"http://{web.host}/say/hello".encode()
    types = plugin.plugin.manifest.field_types
    ((said,),) = plugin.plugin.process.call(
        DISSECT,
        [FrameItem(url)],
        lambda result, items: [[m.fields.get(0) for m in decode_dissect(result, [url], types).messages]],
    )
    assert "cannot be asked for in dissect, only in" in str(said)
    assert web.asked == []


def test_whoever_asks_without_end_is_ended(
    asker: Callable[..., Asker], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(broker_module, "MAX_REQUESTS", 50)
    plugin = asker(paths=["data"])
    assert "asked for more than 50 things in one call" in plugin.refused("flood")
    assert plugin.order("say", "still", "here") == "still here"
    assert plugin.plugin.status.crashes == 1


def test_giant_requests_and_nonsense_are_refused(asker: Callable[..., Asker], tmp_path: Path) -> None:
    plugin = asker(paths=["data"])
    assert "at most 8" in plugin.refused("large", "data/f")
    assert "there is no service" in plugin.refused("nonsense")
    assert not (tmp_path / "own" / "f").exists()
    assert plugin.order("say", "still", "here") == "still here"
    assert plugin.plugin.status.crashes == 0


def test_the_time_of_an_answer_is_not_the_plugins(asker: Callable[..., Asker], web: WebServer) -> None:
    plugin = asker(hosts=[web.host])
    plugin.plugin.process._batch_s = 1.0
    web.do_pause = lambda handler, _: (time.sleep(3.0), web.answer(handler, 200, b"late"))  # type: ignore[attr-defined]
    plugin.plugin.process.start()
    assert plugin.order("http", f"http://{web.host}/pause/").endswith("late")
    assert plugin.plugin.status.crashes == 0


def test_a_server_that_never_ends_costs_its_deadline(
    asker: Callable[..., Asker], web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = asker(hosts=[web.host])
    with monkeypatch.context() as hurried:
        hurried.setattr(broker_module, "NETWORK_S", 0.3)
        assert "did not answer in time" in plugin.refused("http", f"http://{web.host}/slow/")
    assert "more than 4,194,304 bytes" in plugin.refused("http", f"http://{web.host}/large/4194305")
    assert plugin.plugin.status.crashes == 0


def test_close_ends_a_request_under_way(asker: Callable[..., Asker], web: WebServer) -> None:
    plugin = asker(hosts=[web.host])
    said: list[str] = []
    caller = threading.Thread(target=lambda: said.append(plugin.refused("http", f"http://{web.host}/slow/")))
    caller.start()
    while not web.asked:
        time.sleep(0.01)
    began = time.monotonic()
    plugin.plugin.close()
    caller.join(20)
    assert not caller.is_alive()
    assert time.monotonic() - began < broker_module.NETWORK_S
    assert said


def test_close_does_not_wait_for_a_stop_that_never_ends(asking_c: Any, tmp_path: Path) -> None:
    (tmp_path / "at-start").write_text("never stop")
    plugin = Asker(asking_c, tmp_path, [], ["data"])
    assert plugin.order("say", "it", "runs") == "it runs"
    closer = threading.Thread(target=plugin.plugin.close)
    closer.start()
    closer.join(30)
    assert not closer.is_alive()
    assert plugin.plugin.status.pid == 0
    assert not (tmp_path / "at-stop").exists()


CHANNEL_ATTACKS = {
    "giant": "asks the broker with 4,294,967,299 bytes",
    "zero": "asks the broker with 4 bytes",
    "half": "took longer than 2,000 ms",
    "trickle": "took longer than 2,000 ms",
    "twice": "asks the broker with 12 bytes, or twice at once",
    "unread": "twice at once|does not take the broker's answer|asked for more than 50 things",
}


@pytest.mark.parametrize("order", CHANNEL_ATTACKS)
def test_a_plugin_that_writes_to_the_channel_itself(
    asking_c: Any, tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "MAX_REQUESTS", 50)
    plugin = Asker(asking_c, tmp_path, [], ["data"])
    plugin.plugin.process._batch_s = 2.0
    reason = plugin.refused(order)
    assert re.search(CHANNEL_ATTACKS[order], reason), reason
    assert plugin.order("say", "still", "here") == "still here"
    plugin.plugin.close()


@pytest.mark.parametrize("order", ["wait", "lie"])
def test_a_script_that_lies_to_its_host_gains_nothing(asking_js: Any, tmp_path: Path, order: str) -> None:
    plugin = Asker(asking_js, tmp_path, [], ["data"])
    plugin.plugin.process._batch_s = 0.5
    try:
        said = plugin.order(order)
    except PluginError as error:
        said = error.message
    assert "took" in said or said == "answered"
    assert plugin.order("say", "still", "here") == "still here"
    plugin.plugin.close()
    assert isinstance(plugin.plugin.process.call(DISSECT, [FrameItem(b"x")], lambda *_: [])[0], Poison)
