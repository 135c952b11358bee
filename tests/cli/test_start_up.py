"""No command loads what it does not need: its start is the most of a small command's time."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

RUN = """
import contextlib, io, sys
from kubeshark.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    try:
        code = main(sys.argv[1:])
    except SystemExit as end:
        code = end.code
print(code, *sys.modules)
"""

MASKED = {"numpy.ma"}  # 50 ms; numpy.unique loads it
NUMPY = {"numpy", "zstandard", "cryptography", "msgspec", "kubeshark.pipeline", "kubeshark.core_capture.store"}
DISSECTION = {
    "pluggy",
    "kubeshark.extension_api",
    "kubeshark.hosts",
    "kubeshark.pipeline.dissection._dissect",
    "kubeshark.pipeline.plugins._manager",
    "kubeshark.pipeline.query._query",
    "kubeshark.pipeline.dissectors",
    "kubeshark.pipeline.kfl._compile",
    "kubeshark.pipeline.kfl._check",
    "kubeshark.pipeline.tls._decrypt",
}
WRITING = {"kubeshark.core_capture.store.writing._writer", "kubeshark.core_capture.files._pcapng"}
CARE = {f"kubeshark.core_capture.store.{what}" for what in ("_overview", "_verify")}
CARE |= {f"kubeshark.core_capture.store.upkeep._{what}" for what in ("prune", "recover", "rotate")}
RARE = {
    "importlib.metadata",  # 15 ms
    "ssl",
    "cryptography.hazmat.primitives.serialization",
    "kubeshark.core_capture.store.writing._log",
    "kubeshark.core_capture.store.writing._piece",
}
PLUGINS = {"kubeshark.hosts", "kubeshark.extension_api._manifest", "kubeshark.pipeline.plugins._installed"}
PLUGINS |= {"tomllib", "importlib.metadata"} if sys.version_info < (3, 13) else {"tomllib"}
"""Where none is installed."""

ERRORS = {"difflib", "kubeshark.pipeline.kfl._hints", "kubeshark.pipeline.kfl._v1", "kubeshark.pipeline.kfl._check"}
"""Where the filter is plain, or there is none."""

SERVERS = {"fastapi", "uvicorn", "starlette", "kubeshark.hub"}
REMOTE = {"obstore", "kubeshark.core_capture.store.places._objects"}
WORKERS = {"kubeshark.pipeline.executors._processes", "kubeshark.pipeline.executors._worker", "multiprocessing"}
SETTINGS = {"yaml", "kubeshark._document", "kubeshark.settings._load", "kubeshark.settings._model"}
"""Where there is no kubeshark.yaml."""

JSON = {"json"} if sys.version_info < (3, 13) else set()
"""Newer ones load it with importlib.metadata, where versions of packages are."""

UNNEEDED = {
    "version": NUMPY | SERVERS | SETTINGS | JSON | {"kubeshark.settings", "dataclasses", "kubeshark.cli.query"},
    "--help": NUMPY | SERVERS | {"dataclasses", "json", "importlib.metadata", "kubeshark.cli.query"},
    "query --help": SETTINGS | NUMPY | SERVERS,
    "firewall --help": NUMPY | SERVERS | {"yaml"},
    "firewall schema": NUMPY | SERVERS | {"yaml"},
    "import SAMPLE --store STORE": SETTINGS | MASKED | DISSECTION | CARE | SERVERS | REMOTE | WORKERS | RARE,
    "export -o OUT --store STORE": SETTINGS | MASKED | DISSECTION | CARE | SERVERS | REMOTE | WORKERS | WRITING | RARE,
    "export dst.port==53 -o OUT --store STORE": MASKED
    | DISSECTION
    | CARE
    | SERVERS
    | REMOTE
    | WORKERS
    | WRITING
    | RARE,
    "store verify --store STORE": SETTINGS | MASKED | DISSECTION | SERVERS | REMOTE | WORKERS,
    "query http --store STORE --output jsonl": SETTINGS
    | MASKED
    | CARE
    | SERVERS
    | REMOTE
    | WORKERS
    | WRITING
    | PLUGINS
    | ERRORS
    | {"cel_expr_python", "concurrent.futures"},
    "query dst.port==53 --store STORE --limit 1": MASKED
    | CARE
    | SERVERS
    | REMOTE
    | WORKERS
    | WRITING
    | PLUGINS
    | ERRORS
    | {"cel_expr_python", "concurrent.futures"},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    folder = tmp_path_factory.mktemp("start") / "store"
    loaded(f"import {sample} --store {folder}", folder)
    return folder


def loaded(command: str, store: Path) -> set[str]:
    """Return the modules that a command leaves loaded."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *command.split()],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "KUBESHARK_IDENTITY": str(store.with_name("identity.age"))},
    )
    code, *modules = done.stdout.split()
    assert code == "0", done.stderr
    return set(modules)


def test_what_is_not_to_be_loaded_exists() -> None:
    """A module that was moved would never be loaded under its old name."""
    ours = {name for names in UNNEEDED.values() for name in names if name.startswith("kubeshark.")}
    assert not [name for name in ours if find_spec(name) is None]


@pytest.mark.parametrize("command", UNNEEDED)
def test_a_command_loads_only_what_it_needs(command: str, sample: Path, store: Path, tmp_path: Path) -> None:
    places = {"SAMPLE": sample, "OUT": tmp_path / "out.pcap"}
    places["STORE"] = tmp_path / "new" if command.startswith("import") else store
    words = [str(places.get(word, word)) for word in command.split()]
    assert loaded(" ".join(words), store) & UNNEEDED[command] == set()
