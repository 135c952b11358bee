"""Packages are installed: who signed them, what was promised, what is pinned, what is granted; and the way back."""

from __future__ import annotations

import json
import os
import shutil
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from kubeshark.errors import PluginRejected, UsageError
from kubeshark.packages._fetched import Fetched, local
from kubeshark.packages._lock import read_lock
from kubeshark.packages._trust import TRUST_NAME, add_key, remove_key
from kubeshark.pipeline.plugins._installed import (
    InstalledPlugin,
    foreign_plugins,
    installed_plugins,
    plugins_folder,
    roll_back,
    uninstall,
)
from kubeshark.pipeline.plugins._stage import Stage
from tests.packages._plugins import make_folder, make_key, make_package

ENV = '[permissions]\nenv = ["DEMO_HOME", "DEMO_MODE"]'
GRANT = {"env": ["DEMO_HOME"]}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "plugins"))
    return plugins_folder()


@pytest.fixture
def key(tmp_path: Path, root: Path) -> str:
    """The author's public key, trusted; its file is tmp_path/key."""
    text = make_key(tmp_path / "key")
    add_key(root, text, "acme")
    return text


def install(
    source: Path | Fetched, grants: Mapping[str, Sequence[str]] | None = None, **options: bool
) -> InstalledPlugin:
    with Stage(source) as stage:
        return stage.commit(grants={**stage.inherited_grants, **(grants or {})}, **options)


def from_registry(package: Path) -> Fetched:
    """As it comes from a place that can be asked again."""
    return replace(local(package), source="oci://host/demo:1", exact="oci://host/demo@sha256:x")


def test_a_signed_package(tmp_path: Path, key: str) -> None:
    plugin = install(make_package(tmp_path, key=tmp_path / "key"))
    assert (plugin.signer, plugin.doubt, plugin.problem) == ("acme", "", None)
    assert (plugin.folder / "plugin.js").read_text() == "throw new Error('must not run')"
    (foreign,), _, problems = foreign_plugins()
    assert (foreign[0], problems) == ("demo@1.0.0", [])
    foreign[1].close()
    pin = read_lock(plugins_folder())["demo"]
    assert (pin.digest, pin.signer) == (plugin.digest, key)


def test_a_folder_and_its_package_are_the_same(tmp_path: Path, root: Path) -> None:
    package = make_package(tmp_path)
    with Stage(package) as one, Stage(tmp_path / "demo-1.0.0") as other:
        assert (one.digest, one.files) == (other.digest, other.files)
        assert one.doubt == other.doubt == "is not signed"


def test_an_old_signature_on_another_package(tmp_path: Path, key: str, root: Path) -> None:
    make_package(tmp_path, key=tmp_path / "key")
    package = make_package(tmp_path, "other")
    shutil.copy(tmp_path / "demo-1.0.0.ksp.sig", tmp_path / "other-1.0.0.ksp.sig")
    with pytest.raises(PluginRejected, match=r"its signature is one of demo 1\.0\.0"):
        install(package)
    newer = make_package(tmp_path, version="1.0.1")
    shutil.copy(tmp_path / "demo-1.0.0.ksp.sig", f"{newer}.sig")
    with pytest.raises(PluginRejected, match=r"its signature is one of demo 1\.0\.0"):
        install(newer)
    assert installed_plugins() == []
    assert list(root.glob(".stage-*")) == []


def test_a_wrong_signature_is_worse_than_none(tmp_path: Path, key: str) -> None:
    package = make_package(tmp_path, key=tmp_path / "key")
    beside = Path(f"{package}.sig")
    signature = json.loads(beside.read_text())
    signature["signature"] = signature["signature"][::-1].replace("==", "") + "=="
    beside.write_text(json.dumps(signature))
    with pytest.raises(PluginRejected, match="signature"):
        Stage(package)
    beside.write_text("{")
    with pytest.raises(PluginRejected, match="signature file cannot be read"):
        Stage(package)


def test_keys_that_do_not_count(tmp_path: Path, key: str, root: Path) -> None:
    make_key(tmp_path / "stranger")
    with Stage(make_package(tmp_path, key=tmp_path / "stranger")) as stage:
        assert (stage.signer, stage.doubt.endswith("which is not trusted")) == ("", True)
    package = make_package(tmp_path, key=tmp_path / "key")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%d")
    add_key(root, key, "acme", until=yesterday)
    with Stage(package) as stage:
        assert f"was trusted until {yesterday}" in stage.doubt
    add_key(root, key, "acme", only=["acme-*"])
    with Stage(package) as stage:
        assert "trusted for acme-* only" in stage.doubt
    (root / TRUST_NAME).write_text("[]")
    with pytest.raises(PluginRejected, match="cannot be read"):
        Stage(package)


def test_trust_that_ends_after_the_installation(tmp_path: Path, key: str, root: Path) -> None:
    install(make_package(tmp_path, key=tmp_path / "key"))
    add_key(root, key, "acme", until="2020-01-01")  # over: what was good when it came stays
    assert installed_plugins()[0].signer == "acme"
    remove_key(root, "acme")  # stolen, say: ends what is there
    (plugin,) = installed_plugins()
    assert "which is not trusted" in str(plugin.problem)
    assert foreign_plugins()[0] == []
    (root / TRUST_NAME).write_text("broken")
    assert installed_plugins()[0].problem is not None
    (root / TRUST_NAME).unlink()
    install(make_package(tmp_path, key=tmp_path / "key"))  # the user takes it although nobody vouches for it
    (plugin,) = installed_plugins()
    assert (plugin.problem, plugin.signed) == (None, False)


@pytest.mark.parametrize(
    ("promise", "reason"),
    [
        ({"digest": "a" * 64}, "was promised"),
        ({"wanted": "other"}, "is not the other that was asked for"),
        ({"signer": "ed25519:" + "A" * 43 + "="}, "is not signed by the key that the index"),
    ],
)
def test_promises(promise: dict[str, str], reason: str, tmp_path: Path, key: str, root: Path) -> None:
    fetched = local(make_package(tmp_path, key=tmp_path / "key"))
    with pytest.raises(PluginRejected, match=reason):
        Stage(replace(fetched, **promise))
    with pytest.raises(PluginRejected, match=reason):
        Stage(replace(fetched, signature=None, **promise))
    install(replace(fetched, signer=key, wanted="demo"))


def test_a_version_that_became_another(tmp_path: Path, key: str) -> None:
    """A tag was moved, a file was replaced: also where the signature is good."""
    install(from_registry(make_package(tmp_path, key=tmp_path / "key")))
    changed = from_registry(make_package(tmp_path, key=tmp_path / "key", code="// other"))
    with pytest.raises(PluginRejected, match=r"1\.0\.0 was sha256:.*--repin"):
        install(changed)
    assert installed_plugins()[0].problem is None
    plugin = install(changed, repin=True)
    assert (plugin.previous, plugin.folder.name) == ("1.0.0", "1.0.0~2")
    assert (roll_back("demo").folder / "plugin.js").read_text() == "throw new Error('must not run')"


def test_what_lies_here_may_change(tmp_path: Path, root: Path) -> None:
    install(make_package(tmp_path))
    assert (install(make_package(tmp_path, code="// other")).folder / "plugin.js").read_text() == "// other"


def test_the_way_back(tmp_path: Path, key: str, root: Path) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        grants = GRANT if version == "1.1.0" else None
        install(make_package(tmp_path, version=version, key=tmp_path / "key", more=ENV), grants)
    assert sorted(path.name for path in (root / "demo").iterdir()) == ["1.1.0", "1.2.0", "install.json"]
    with pytest.raises(PluginRejected, match=r"1\.0\.0 is older than the installed 1\.2\.0"):
        install(make_package(tmp_path, version="1.0.0", key=tmp_path / "key"))
    plugin = roll_back("demo")
    assert (plugin.version, plugin.previous, plugin.problem) == ("1.1.0", "1.2.0", None)
    assert read_lock(root)["demo"].digest == plugin.digest
    assert roll_back("demo").version == "1.2.0"
    install(make_package(tmp_path, version="1.2.0", key=tmp_path / "key", more=ENV))  # the same again: 1.1.0 stays
    (root / "demo" / "1.1.0" / "plugin.js").write_text("changed")
    with pytest.raises(PluginRejected, match=r"plugin\.js changed since it was installed"):
        roll_back("demo")
    assert installed_plugins()[0].version == "1.2.0"
    with pytest.raises(UsageError, match="is not installed"):
        roll_back("other")
    uninstall("demo")
    assert read_lock(root) == {}
    install(make_package(tmp_path))
    with pytest.raises(UsageError, match=r"no version of demo before 1\.0\.0"):
        roll_back("demo")


def test_grants_go_on_with_the_signer(tmp_path: Path, key: str, root: Path) -> None:
    install(make_package(tmp_path, key=tmp_path / "key", more=ENV), GRANT)
    with Stage(make_package(tmp_path, version="1.1.0", key=tmp_path / "key", more=ENV)) as stage:
        assert stage.inherited_grants == GRANT
        assert stage.missing_grants(stage.inherited_grants) == {"env": ["DEMO_MODE"]}
        with pytest.raises(UsageError, match="was not asked for"):
            stage.check_grants({"env": ["PATH"]})
    with Stage(make_package(tmp_path, version="1.1.0", key=tmp_path / "key")) as stage:
        assert stage.inherited_grants == {}  # it asks for nothing any more
    make_key(tmp_path / "thief")
    for signer in (None, tmp_path / "thief"):
        package = make_package(tmp_path, version="1.1.0", key=signer, more=ENV)
        if signer is None:
            Path(f"{package}.sig").unlink()
        with Stage(package) as stage:
            assert stage.inherited_grants == {}
    remove_key(root, "acme")
    with Stage(make_package(tmp_path, version="1.1.0", key=tmp_path / "key", more=ENV)) as stage:
        assert stage.inherited_grants == {}  # nor for a signer who is not trusted any more


def test_grants_of_an_unsigned_plugin_are_of_its_contents(tmp_path: Path, root: Path) -> None:
    install(make_package(tmp_path, more=ENV), GRANT)
    with Stage(make_package(tmp_path, more=ENV)) as stage:
        assert (stage.is_installed, stage.inherited_grants) == (True, GRANT)
    with Stage(make_package(tmp_path, more=ENV, code="// other")) as stage:
        assert (stage.is_installed, stage.inherited_grants) == (False, {})


@pytest.mark.parametrize("version", ["../../x", "1.0.0/../..", ".."])
def test_a_record_that_leads_elsewhere(version: str, tmp_path: Path, root: Path) -> None:
    install(make_package(tmp_path))
    record = root / "demo" / "install.json"
    for key in ("version", "folder"):
        changed = json.loads(record.read_text()) | {key: version}
        record.write_text(json.dumps(changed))
        assert "is unreadable" in str(installed_plugins()[0].problem)
        with pytest.raises(PluginRejected, match="is unreadable"):
            roll_back("demo")
        install(make_package(tmp_path))


def test_another_abi_is_refused_with_the_reason(tmp_path: Path, root: Path) -> None:
    from kubeshark.packages._archive import pack

    make_package(tmp_path)
    manifest = tmp_path / "demo-1.0.0" / "plugin.toml"
    manifest.write_text(manifest.read_text().replace("abi = 1", "abi = 2\nnovelty = true"))
    pack(tmp_path / "demo-1.0.0", tmp_path / "x.ksp", "demo")
    with pytest.raises(PluginRejected, match="made for ABI 2, and this kubeshark has 1: use a newer kubeshark"):
        Stage(tmp_path / "x.ksp")


def test_an_object_for_other_machines_only(tmp_path: Path, root: Path) -> None:
    from kubeshark.hosts._artefact import TARGETS, this_target
    from kubeshark.packages._archive import pack

    folder = make_folder(tmp_path)
    manifest = folder / "plugin.toml"
    manifest.write_text(manifest.read_text().replace('"js"', '"c"').replace("plugin.js", "build/plugin.so"))
    other, machine = next((target, machine) for target, machine in TARGETS.items() if target != this_target())
    (folder / "build" / other).mkdir(parents=True)
    elf = struct.pack("<4sBB10xHH", b"\x7fELF", 2, 1, 3, machine)
    (folder / "build" / other / "plugin.so").write_bytes(elf)
    pack(folder, tmp_path / "x.ksp", "demo")
    with pytest.raises(PluginRejected, match=f"is built for {other}, and this machine is {this_target()}"):
        Stage(tmp_path / "x.ksp")


def test_many_at_once(tmp_path: Path, root: Path) -> None:
    packages = [make_package(tmp_path, version=f"1.0.{at}") for at in range(8)]
    threads = [threading.Thread(target=install, args=(package,), kwargs={"downgrade": True}) for package in packages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (plugin,) = installed_plugins()
    assert plugin.problem is None
    assert len([path for path in (root / "demo").iterdir() if path.is_dir()]) == 2
    assert roll_back("demo").problem is None


def test_what_a_killed_installation_left(tmp_path: Path, root: Path) -> None:
    for name, age_s in ((".stage-old", 25 * 3600), (".stage-new", 60)):
        (root / name).mkdir(parents=True)
        os.utime(root / name, (time.time() - age_s,) * 2)
    install(make_package(tmp_path))
    assert [path.name for path in root.glob(".stage-*")] == [".stage-new"]


def test_hostile_archives_leave_nothing(tmp_path: Path, root: Path) -> None:
    package = make_package(tmp_path)
    package.write_bytes(package.read_bytes()[:-30])
    with pytest.raises(PluginRejected, match="not a package"):
        Stage(package)
    assert list(root.glob("*")) + list(root.glob(".stage-*")) == []
