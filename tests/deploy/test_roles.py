"""What hub and worker are made of is found by what they import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def ask(root: Path, role: str, what: str) -> set[str]:
    command = [sys.executable, root / "scripts/roles.py", role, what]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())


@pytest.mark.parametrize("role", ["hub", "worker"])
def test_every_package_that_is_imported_is_declared(root: Path, role: str) -> None:
    assert any(line.startswith("numpy") for line in ask(root, role, "requirements"))


def test_a_worker_holds_nothing_that_dissects(root: Path) -> None:
    modules, packages = ask(root, "worker", "modules"), ask(root, "worker", "requirements")
    assert {"kubeshark.worker._capture_child", "kubeshark.worker._firewall_child", "kubeshark.cli.worker"} <= modules
    unwanted = ("kubeshark.hub", "kubeshark.hosts", "kubeshark.pipeline.dissectors", "kubeshark.pipeline.kfl")
    assert not [module for module in modules if module.startswith(unwanted)]
    assert not [
        line for line in packages if line.startswith(("mini-racer", "wasmtime", "cel-", "kubernetes", "fastapi"))
    ]


def test_a_hub_holds_everything_but_the_worker_and_the_survey(root: Path) -> None:
    modules = ask(root, "hub", "modules")
    assert {"kubeshark.hub._app", "kubeshark.hosts._zygote", "kubeshark.pipeline.dissectors.network.dns"} <= modules
    assert not [module for module in modules if module.startswith("kubeshark.worker") or module.endswith(("cli.init",))]
    commands = {path.stem for path in (root / "src/kubeshark/cli").glob("firewall_*.py")}
    assert {f"kubeshark.cli.{name}" for name in commands} <= modules, "those that firewall loads by a text"
    whole = {path.stem for path in (root / "pipeline/renderers").glob("*.py")} - {"__init__"}
    assert whole <= {module.rpartition(".")[2] for module in modules}


def test_files_are_modules_data_and_what_compiles_them(root: Path) -> None:
    files = ask(root, "worker", "files")
    assert {"core_capture/native/build_core.py", "firewall/bpf/firewall.c", "worker/_app.py"} <= files
    assert not [path for path in files if path.startswith(("hub/", "hosts/", "extension_api/", "tests/"))]
