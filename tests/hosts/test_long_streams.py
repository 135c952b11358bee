"""A stream far larger than a plugin's memory goes through it in chunks, in every language."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kubeshark.extension_api._manifest import Manifest, read_manifest
from kubeshark.hosts import ForeignPlugin, PluginState
from tests.hosts.test_feed import Flow, Side

HEADS = Path(__file__).parents[2] / "benchmarks" / "heads"
MEMORY_MB = 24
RUNTIME_MB = {"c": 48, "js": 160, "go": 128}  # of an idle child: Python, and V8 or wasmtime
HEAD = b"GET /%07d HTTP/1.1\r\nHost: shop.example\r\nCookie: " + b"x" * 8000 + b"\r\n\r\n"
LONG = b"GET /long HTTP/1.1\r\nHost: shop.example\r\nCookie: " + b"x" * 1_000_000 + b"\r\n\r\n"


@pytest.fixture(params=["c", "js", "go"])
def heads(request: pytest.FixtureRequest) -> Iterator[ForeignPlugin]:
    """The dissector of the benchmarks with little memory."""
    folder, manifest = HEADS / request.param, read_manifest(HEADS / request.param)
    if request.param != "js":
        build: Callable[[Path], tuple[Path, Manifest]] = request.getfixturevalue(f"compile_{request.param}")
        folder, manifest = build(folder)
    limits = msgspec.structs.replace(manifest.limits, memory_mb=MEMORY_MB)
    plugin = ForeignPlugin(folder, msgspec.structs.replace(manifest, limits=limits))
    yield plugin
    plugin.close()


def stream_of(size: int) -> tuple[memoryview, int]:
    """Return a side of at least `size` bytes, outside of the heap, and its messages."""
    block = b"".join(HEAD % at for at in range(500)) + LONG
    times = -(-size // len(block))
    data = mmap.mmap(-1, times * len(block))
    for _ in range(times):
        data.write(block)
    return memoryview(data), 501 * times


@pytest.mark.parametrize("megabytes", [32, pytest.param(256, marks=pytest.mark.slow)])
def test_memory_is_bounded_and_every_message_is_found(heads: ForeignPlugin, megabytes: int) -> None:
    side, count = stream_of(megabytes << 20)
    empty: Any = Side(memoryview(b""))
    (spec,) = heads.protocols()
    (found,) = heads.dissect(spec, [Flow((Side(side), empty))])  # type: ignore[list-item]
    assert heads.take_problems() == []
    assert len(found) == count
    assert {message.error for message in found} == {""}
    ends = [0, *(message.end for message in found)]
    assert [message.start for message in found] == ends[:-1]
    assert ends[-1] == len(side)
    name = heads.manifest.fields[1].variable
    assert [message.fields[name] for message in found[499:502]] == ["/0000499", "/long", "/0000000"]
    status = heads.status
    assert (status.state, status.crashes, status.starts) == (PluginState.RUNNING, 0, 1)
    assert status.resident_bytes < (MEMORY_MB + RUNTIME_MB[heads.manifest.language]) << 20
