"""kubeshark plugin pack|sign|push|index|trust|search, as an author and a user type them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kubeshark.cli import main
from tests.packages._plugins import make_folder, make_key, make_package


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "plugins"))
    monkeypatch.delenv("KUBESHARK_PLUGIN_INDEX", raising=False)
    monkeypatch.delenv("KUBESHARK_SIGNING_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str | Path) -> int:
    return main(["plugin", *map(str, arguments)])


def test_from_a_folder_to_an_index(tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path)
    assert run("pack", folder) == 0
    assert "packed demo-1.0.0.ksp: sha256:" in capsys.readouterr().out
    assert run("sign", "demo-1.0.0.ksp") == 0
    captured = capsys.readouterr()
    assert f"made the key {own_home}/.kubeshark/signing.pem: keep a copy" in captured.err
    key = captured.out.split()[-1]
    assert run("index", "demo-1.0.0.ksp", "-o", "index.json") == 0
    capsys.readouterr()
    assert run("search", "shows", "--index", "index.json") == 0
    assert capsys.readouterr().out.split()[:3] == ["demo", "1.0.0", "js"]
    assert run("search", "--index", "index.json", "--output", "json") == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["hooks"], entry["signer"]) == (["render"], key)
    assert run("search", "nothing", "--index", "index.json") == 1
    assert run("search") == 2
    assert run("trust", key, "--name", "acme") == 0
    shutil.rmtree(folder)
    assert run("install", "demo", "--index", "index.json") == 0
    assert "signed by acme" in capsys.readouterr().out
    assert run("uninstall", "demo") == 0
    make_package(tmp_path, code="// other")
    assert run("install", "demo", "--index", "index.json") == 1
    assert "was promised" in capsys.readouterr().err


def test_packing_forgets_an_old_signature(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    package = make_package(tmp_path, key=tmp_path / "key")
    assert run("pack", tmp_path / "demo-1.0.0", "-o", package) == 0
    assert not Path(f"{package}.sig").exists()
    assert list(tmp_path.glob(".*.tmp")) == []


def test_what_cannot_be_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path)
    (folder / "plugin.js").unlink()
    assert run("pack", folder) == 1
    assert "plugin.js is missing" in capsys.readouterr().err
    (folder / "plugin.js").symlink_to("/etc/passwd")
    assert run("pack", folder) == 1
    assert "plugin.js is a link" in capsys.readouterr().err
    manifest = folder / "plugin.toml"
    manifest.write_text(manifest.read_text().replace('"js"', '"python"'))
    assert run("pack", folder) == 1
    assert list(tmp_path.glob("*.ksp")) == []


def test_what_cannot_be_signed_or_pushed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.ksp").write_bytes(b"x")
    assert run("sign", "x.ksp") == run("push", "x.ksp", "oci://localhost/x:1") == run("index", "x.ksp", "-o", "i") == 1
    assert "not a package" in capsys.readouterr().err
    make_package(tmp_path)
    assert run("push", "demo-1.0.0.ksp", "ghcr.io/acme/demo") == 2
    assert run("sign", "demo-1.0.0.ksp", "--key", "none") == 1
    (tmp_path / "sub").mkdir()
    assert run("index", "demo-1.0.0.ksp", "-o", "sub/index.json") == 2


@pytest.mark.parametrize(
    ("at", "source"),
    [
        ("https://example.org/p/", "https://example.org/p/demo-1.0.0.ksp"),
        ("oci://ghcr.io/acme/demo", "oci://ghcr.io/acme/demo:1.0.0"),
    ],
)
def test_an_index_says_where(at: str, source: str, tmp_path: Path) -> None:
    make_package(tmp_path)
    assert run("index", "demo-1.0.0.ksp", "-o", "index.json", "--at", at) == 0
    (entry,) = json.loads((tmp_path / "index.json").read_text())["plugins"]
    assert entry["source"] == source


def test_trust(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("trust") == 0
    assert capsys.readouterr().out == "no key is trusted\n"
    key = make_key(tmp_path / "key")
    (tmp_path / "acme.pub").write_text(key + "\n")
    assert run("trust", "acme.pub", "--name", "acme", "--only", "acme-*", "--until", "2040-01-01") == 0
    assert f"trusts acme: {key}, for acme-*, until 2040-01-01" in capsys.readouterr().out
    assert run("trust", "--output", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["key"], row["only"]) == ("acme", key, ["acme-*"])
    assert run("trust") == 0
    assert key in capsys.readouterr().out
    assert run("trust", "--remove", "acme") == 0
    assert run("trust", "--remove", "acme") == 2
    assert run("trust", "none.pub") == 1
    assert run("trust", "ed25519:x") == 2


def test_targets_are_for_compiled_plugins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("build", make_folder(tmp_path), "--target", "x86_64-linux") == 2
    assert "runs on every machine" in capsys.readouterr().err
