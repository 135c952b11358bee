"""The images are built as `make images` does, hold what they should and nothing else, and are pushed once."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cluster._settings import objects
from tests.images._built import ENVIRONMENT, Image
from tests.packages._servers import BASIC, PASSWORD, USER, registry

pytestmark = [pytest.mark.images, pytest.mark.timeout(900)]


def test_users_are_the_manifests(images: dict[str, Image]) -> None:
    assert {name: each.config["User"] for name, each in images.items()} == {
        "hub": "65532:65532", "front": "65532:65532", "worker": "0:0",
    }  # fmt: skip


def test_no_compiler_and_nothing_of_the_machine(images: dict[str, Image]) -> None:
    unwanted = re.compile(r"(?:.*-)?(?:gcc|cc|g\+\+|clang|tcc|zig|ld|as|make|pip3?|buildah)(?:-[\d.]+)?")
    for each in images.values():
        programs = {path.name for folder in ("usr/bin", "usr/sbin", "opt/kubeshark/bin", "usr/local/bin")
                    for path in (each.root / folder).glob("*")}  # fmt: skip
        assert not [name for name in programs if unwanted.fullmatch(name)], each.name
        left = [each.root / "etc/pip.conf", each.root / "etc/apt/apt.conf.d/machine", each.root / "dist"]
        assert not [path for path in left if path.exists()], each.name
        assert not (each.root / "etc/apt/apt.conf.d/99mmdebstrap").exists()
        assert (each.root / "etc/ssl/certs/ca-certificates.crt").stat().st_size > 0


LOADS = """
import importlib.metadata, importlib.util
for name in importlib.metadata.packages_distributions():
    if not name.startswith("_") and importlib.util.find_spec(name):
        importlib.import_module(name)
import numpy, cryptography.hazmat.primitives.asymmetric.ed25519, zstandard, obstore.store
import kubeshark.core_capture._core_native
"""
COMMANDS = {
    "hub": """
from kubeshark.cli._main import COMMANDS, build_parser
for command in COMMANDS.keys() - {"init", "worker"}:
    build_parser(command)
""",
    "worker": """
from kubeshark.cli._main import build_parser
build_parser("worker"), build_parser("version")
""",
}
ENGINES = """
from py_mini_racer import MiniRacer
import wasmtime
assert MiniRacer().eval("6 * 7") == 42
store = wasmtime.Store()
text = '(module (func (export "f") (result i32) i32.const 42))'
instance = wasmtime.Instance(store, wasmtime.Module(store.engine, text), [])
assert instance.exports(store)["f"](store) == 42
"""


def test_what_is_in_them_loads(images: dict[str, Image]) -> None:
    """Libraries without their symbols, and packages without parts that nothing of ours imports."""
    for name, script in (("hub", LOADS + ENGINES), ("worker", LOADS)):
        command = ["chroot", images[name].root, "/opt/kubeshark/bin/python3", "-IBc", script]
        done = subprocess.run(
            command, env={"HOME": "/nowhere", "PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_hub_and_worker_hold_what_is_theirs(images: dict[str, Image]) -> None:
    theirs = {"hub": ("hub", "cluster", "hosts", "pipeline/dissectors"), "worker": ("worker", "firewall")}
    others = {"hub": ("worker",), "worker": ("hub", "cluster", "hosts", "pipeline/dissectors", "pipeline/kfl")}
    for name in theirs:
        [package] = images[name].root.glob("opt/kubeshark/lib/python3.*/site-packages/kubeshark")
        assert all((package / room).is_dir() for room in theirs[name])
        assert not [room for room in others[name] if (package / room).exists()]
        assert [*(package / "core_capture").glob("_core_native*.so")], "the C core is not in the image"
        said = subprocess.run(
            ["chroot", images[name].root, "/opt/kubeshark/bin/kubeshark", "init"],
            env={"HOME": "/nowhere", "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (said.returncode, said.stderr.startswith("kubeshark: this installation lacks")) == (1, True), said.stderr
        done = subprocess.run(
            ["chroot", images[name].root, "/opt/kubeshark/bin/python3", "-IBc", COMMANDS[name]],
            env={"HOME": "/nowhere", "PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_bill_of_materials_is_complete(images: dict[str, Image]) -> None:
    for each in images.values():
        listed = {str(component["purl"]).partition("@")[0] for component in each.bill["components"]}
        purls = [component["purl"] for component in each.bill["components"]]
        assert len(set(purls)) == len(purls) and each.bill["bomFormat"] == "CycloneDX"
        debian = {
            path.name.removesuffix(".list").partition(":")[0]
            for path in (each.root / "var/lib/dpkg/info").glob("*.list")
        }
        assert {name for name in listed if name.startswith("pkg:deb/")} == {
            f"pkg:deb/debian/{name.replace('+', '%2B')}" for name in debian
        }
        python = {path.name.partition("-")[0].lower().replace("_", "-")
                  for path in each.root.glob("opt/*/lib/python3*/site-packages/*.dist-info")}  # fmt: skip
        assert {name for name in listed if name.startswith("pkg:pypi/")} == {f"pkg:pypi/{name}" for name in python}
        assert (each.name == "front") == (not python)


def test_an_image_is_pushed_once_and_comes_back_the_same(images: dict[str, Image], root: Path, tmp_path: Path) -> None:
    login = tmp_path / "auth.json"
    environment = ENVIRONMENT | {"KUBESHARK_PUSH_TLS": "0", "REGISTRY_AUTH_FILE": str(login)}
    with registry(tmp_path / "registry", auth=BASIC) as server:
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        login.write_text(json.dumps({"auths": {server.host: {"auth": basic}}}))

        def push() -> list[str]:
            command = [root / "scripts/images.sh", "push", server.host]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout.splitlines()

        first, second = push(), push()
        assert all(" pushed as sha256:" in line for line in first) and len(first) == 3
        assert all(line.endswith(" is there") for line in second) and len(second) == 3
        wanted = {
            each["spec"]["template"]["spec"]["containers"][0]["image"]
            for each in objects(f"tap.docker.registry={server.host}")
            if each["kind"] in ("Deployment", "DaemonSet")
        }
        assert wanted == {f"{server.host}/{name}:{each.version}" for name, each in images.items()}
        for name in wanted:
            found = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"]
            subprocess.run(found, env=environment, check=True, capture_output=True)
        for line in first:
            target, _, digest = line.partition(" pushed as ")
            repository = target.rpartition(":")[0]
            folder = tmp_path / digest[7:]
            pull = ["skopeo", "copy", "--quiet", "--src-tls-verify=false"]
            pull += [f"docker://{repository}@{digest}", f"dir:{folder}"]
            subprocess.run(pull, env=environment, check=True, capture_output=True)
            manifest = json.loads((folder / "manifest.json").read_bytes())
            if not repository.endswith("/front"):
                assert len(manifest["layers"]) == 3, "Debian, packages, and our own code, which changes most"
                assert manifest["layers"][-1]["size"] < 20_000_000
            for blob in (manifest["config"], *manifest["layers"]):
                assert (
                    blob["digest"] == f"sha256:{hashlib.sha256((folder / blob['digest'][7:]).read_bytes()).hexdigest()}"
                )
            assert digest == f"sha256:{hashlib.sha256((folder / 'manifest.json').read_bytes()).hexdigest()}"
