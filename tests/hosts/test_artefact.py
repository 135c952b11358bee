"""Which object of a C plugin is loaded here, and what is said where there is none."""

from __future__ import annotations

import platform
import struct
from pathlib import Path

import pytest

from kubeshark.errors import PluginError, PluginRejected, UsageError
from kubeshark.extension_api._manifest import Manifest, read_manifest
from kubeshark.hosts._artefact import TARGETS, artefact, object_for, targets_of, this_target
from kubeshark.hosts.c import _build as build_c
from kubeshark.hosts.c._build import build, build_targets

MANIFEST = """
id = "demo"
version = "1.0.0"
abi = 1
language = "c"
entry = "build/demo.so"
hooks = ["render"]
"""
SOURCE = """
#include "kubeshark_plugin.h"
const ks_plugin_hooks ks_plugin = {0};
"""
OTHER = next(target for target in TARGETS if target != this_target())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plugin.toml").write_text(MANIFEST)
    (tmp_path / "demo.c").write_text(SOURCE)
    return tmp_path


@pytest.fixture
def manifest(folder: Path) -> Manifest:
    return read_manifest(folder)


def elf(machine: int, kind: int = 3, width: int = 2) -> bytes:
    return struct.pack("<4sBB10xHH", b"\x7fELF", width, 1, kind, machine) + bytes(100)


def put(folder: Path, name: str, data: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def test_the_object_for_this_machine(folder: Path, manifest: Manifest) -> None:
    with pytest.raises(PluginRejected, match=r"build/demo.so is missing: run"):
        artefact(folder, manifest)
    put(folder, "build/demo.so", elf(TARGETS[this_target()]))
    assert artefact(folder, manifest) == "build/demo.so"
    put(folder, object_for("build/demo.so", this_target()), elf(TARGETS[this_target()]))
    assert artefact(folder, manifest) == f"build/{this_target()}/demo.so"
    assert targets_of(folder, manifest) == {this_target(): f"build/{this_target()}/demo.so"}


def test_objects_for_other_machines_are_named(folder: Path, manifest: Manifest) -> None:
    put(folder, object_for("build/demo.so", OTHER), elf(TARGETS[OTHER]))
    with pytest.raises(PluginRejected, match=f"is built for {OTHER}, and this machine is {this_target()}"):
        artefact(folder, manifest)
    put(folder, "build/demo.so", elf(TARGETS[OTHER]))
    with pytest.raises(PluginRejected, match=f"is built for {OTHER}"):
        artefact(folder, manifest)


@pytest.mark.parametrize(
    "data", [b"", b"#!/bin/sh\n", elf(TARGETS["x86_64-linux"], kind=2), elf(3, width=1), elf(0xFFFF)]
)
def test_what_is_no_object(data: bytes, folder: Path, manifest: Manifest) -> None:
    put(folder, "build/demo.so", data)
    put(folder, object_for("build/demo.so", OTHER), elf(TARGETS[this_target()]))  # in the other's place
    with pytest.raises(PluginRejected, match="is no shared object for"):
        artefact(folder, manifest)


def test_one_build_for_two_machines(folder: Path, manifest: Manifest) -> None:
    """By Zig, which is the same compiler everywhere: both objects, no old one beside them, the same bytes again."""
    pytest.importorskip("ziglang", reason="pip install ziglang")
    put(folder, "build/demo.so", elf(TARGETS[this_target()]))
    built = list(build_targets(folder, manifest, list(TARGETS)))
    assert set(targets_of(folder, manifest)) == set(TARGETS)
    assert not (folder / "build/demo.so").exists()
    bytes_before = [path.read_bytes() for path in built]
    assert str(folder).encode() not in b"".join(bytes_before)
    (again,) = build_targets(folder, manifest, [OTHER])
    assert again.read_bytes() == bytes_before[list(TARGETS).index(OTHER)]
    assert set(targets_of(folder, manifest)) == {OTHER}
    build(folder, manifest)
    assert targets_of(folder, manifest) == {this_target(): "build/demo.so"}


def test_targets_that_cannot_be(folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="there is no target 'mips-linux': there are x86_64-linux, aarch64-linux"):
        list(build_targets(folder, manifest, ["mips-linux"]))
    monkeypatch.setattr(build_c.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(PluginError, match="pip install ziglang"):
        list(build_targets(folder, manifest, [OTHER]))


def test_another_machine_takes_its_own(folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    for target, machine in TARGETS.items():
        put(folder, object_for("build/demo.so", target), elf(machine))
    for target in TARGETS:
        monkeypatch.setattr(platform, "machine", lambda target=target: target.removesuffix("-linux"))
        assert artefact(folder, manifest) == f"build/{target}/demo.so"
