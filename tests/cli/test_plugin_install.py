"""kubeshark plugin install|update|rollback, as a user types them: what is asked, what is refused, and why."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubeshark.cli import main
from tests.packages._plugins import make_folder, make_key, make_package
from tests.packages._servers import BASIC, PASSWORD, USER, RegistryServer, registry

ENV = '[permissions]\nenv = ["DEMO_HOME"]'
MORE = '[permissions]\nenv = ["DEMO_HOME", "DEMO_MODE"]'


@pytest.fixture(autouse=True)
def plugins(tmp_path: Path, server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBESHARK_REGISTRY", server.host)
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "plugins"))
    monkeypatch.setenv("KUBESHARK_REGISTRY_USER", USER)
    monkeypatch.setenv("KUBESHARK_REGISTRY_PASSWORD", PASSWORD)
    monkeypatch.delenv("KUBESHARK_PLUGIN_INDEX", raising=False)
    return tmp_path / "plugins"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with registry(tmp_path_factory.mktemp("registry"), auth=BASIC) as found:
        yield found


@pytest.fixture
def author(tmp_path: Path, server: RegistryServer) -> Callable[..., str]:
    """Publishes a version of demo under one tag; returns the tag's address. The key is trusted."""
    run("trust", make_key(tmp_path / "key"), "--name", "acme")
    where = f"oci://{server.host}/{tmp_path.name.replace('_', '-').lower()}/demo:stable"

    def publish(version: str, more: str = "", code: str = "", *, key: str = "key") -> str:
        package = make_package(tmp_path, version=version, key=tmp_path / key, more=more, code=code)
        assert run("push", package, where) == 0
        return where

    return publish


def run(*arguments: str | Path) -> int:
    return main(["plugin", *map(str, arguments)])


def versions(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    capsys.readouterr()
    run("list", "--output", "json")
    return {plugin["id"]: plugin["version"] for plugin in json.loads(capsys.readouterr().out)}


def test_refusals_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = make_package(tmp_path)
    assert run("install", package) == 1
    assert "plugin demo: 1.0.0 is not signed: install with --allow-unsigned" in capsys.readouterr().err
    key = make_key(tmp_path / "key")
    package = make_package(tmp_path, key=tmp_path / "key")
    assert run("install", package) == 1
    err = capsys.readouterr().err
    assert f'1.0.0 is signed by {key}, which is not trusted: run "kubeshark plugin trust {key}", or install' in err
    assert run("install", package, "--allow-unsigned") == 0
    assert run("trust", key, "--name", "acme") == 0
    assert run("install", package) == 0
    assert "signed by acme" in capsys.readouterr().out
    unsigned = make_package(tmp_path, version="1.1.0")
    assert run("install", unsigned) == 1
    assert "1.1.0 is not signed, and the installed 1.0.0 is: install with" in capsys.readouterr().err
    assert run("install", tmp_path / "none.ksp") == 1
    assert run("install") == run("install", package, "--lock", "x") == 2
    assert versions(capsys) == {"demo": "1.0.0"}


def test_another_signer_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        run("trust", make_key(tmp_path / name), "--name", name)
    assert run("install", make_package(tmp_path, key=tmp_path / "one")) == 0
    assert run("install", make_package(tmp_path, version="1.1.0", key=tmp_path / "two")) == 0
    assert "demo 1.0.0 was signed by ed25519:" in capsys.readouterr().err


def test_updates(author: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("install", author("1.0.0", ENV), "--grant", "env=DEMO_HOME") == 0
    assert run("update") == 0
    assert "demo 1.0.0 is the newest" in capsys.readouterr().out
    author("1.1.0", MORE)
    assert run("update", "demo", "--grant", "env=PATH") == 1
    assert "env=PATH" in capsys.readouterr().err
    assert run("update", "--check") == 0
    assert "demo 1.0.0: there is 1.1.0" in capsys.readouterr().out
    assert run("update", "demo") == 0
    captured = capsys.readouterr()
    assert "installed demo 1.1.0, replacing 1.0.0" in captured.out
    assert "it asks for env DEMO_MODE, and would run without" in captured.err  # and not for what it has
    run("info", "demo", "--output", "json")
    info = json.loads(capsys.readouterr().out)
    assert (info["grants"], info["previous"], info["signer"]) == ({"env": ["DEMO_HOME"]}, "1.0.0", "acme")
    author("1.0.5")
    assert run("update") == 0
    assert "demo 1.1.0 is newer than 1.0.5, which is what there is" in capsys.readouterr().out
    assert run("rollback", "demo") == 0
    assert "rolled demo back from 1.1.0 to 1.0.0" in capsys.readouterr().out


def test_a_login_on_the_command_line(
    author: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = author("1.0.0")
    monkeypatch.delenv("KUBESHARK_REGISTRY")
    assert run("install", where) == 1
    assert "the registry answers 401" in capsys.readouterr().err
    (tmp_path / "password").write_text(PASSWORD + "\n")
    login = ("--user", USER, "--password-file", tmp_path / "password")
    assert run("install", where, *login) == 0
    assert run("push", tmp_path / "demo-1.0.0.ksp", where, *login) == 0
    assert run("install", where, "--user", USER) == 2
    (tmp_path / "password").write_text("wrong hush")
    assert run("install", where, *login) == 1
    assert "hush" not in capsys.readouterr().err


def test_a_moved_tag_is_no_update(author: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    where = author("1.0.0")
    assert run("install", where) == 0
    author("1.0.0", code="// other")
    assert run("update") == 1
    assert "1.0.0 was sha256:" in capsys.readouterr().err
    assert run("install", where) == 1
    assert run("install", where, "--repin") == 0


def test_an_update_by_a_stranger(
    author: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("install", author("1.0.0")) == 0
    make_key(tmp_path / "stranger")
    author("1.1.0", key="stranger")
    assert run("update") == 1
    assert "which is not trusted, and the installed 1.0.0 is" in capsys.readouterr().err
    assert versions(capsys) == {"demo": "1.0.0"}


def test_what_has_no_source_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("install", make_folder(tmp_path), "--allow-unsigned") == 0
    assert run("update") == 0
    assert "was installed from this machine: left as it is" in capsys.readouterr().out
    assert run("update", "demo") == run("update", "other") == run("rollback", "other") == 2
    assert run("rollback", "demo") == 2
    assert "there is no version of demo before 1.0.0" in capsys.readouterr().err


def test_a_lock_file_brings_another_machine_to_the_same(
    author: Callable[..., str],
    tmp_path: Path,
    plugins: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_package(tmp_path, "local")
    assert run("install", author("1.0.0")) == run("install", tmp_path / "local-1.0.0.ksp", "--allow-unsigned") == 0
    author("1.1.0")  # the tag goes on; the lock file does not
    lock = plugins / "plugins.lock"
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "elsewhere"))
    assert run("trust", next(iter(json.loads(lock.read_text())["plugins"].values()))["signer"]) == 0
    assert run("install", "--lock", lock) == 3  # one is not signed: it is said, the other is installed
    assert "plugin local: 1.0.0 is not signed" in capsys.readouterr().err
    assert run("install", "--lock", lock, "--allow-unsigned") == 0
    assert "demo 1.0.0 is there" in capsys.readouterr().out
    assert versions(capsys) == {"demo": "1.0.0", "local": "1.0.0"}
    make_package(tmp_path, "local", code="// other")
    run("uninstall", "local")
    assert run("install", "--lock", lock, "--allow-unsigned") == 3
    assert "was promised" in capsys.readouterr().err


def on_a_terminal(answers: str, *arguments: str | Path) -> tuple[int, str]:
    """Run with a terminal as standard input; return exit code and what was written to stderr."""
    master, slave = pty.openpty()
    os.write(master, answers.encode())
    command = [sys.executable, "-m", "kubeshark", "plugin", *map(str, arguments)]
    done = subprocess.run(command, stdin=slave, capture_output=True, text=True, check=False)
    os.close(slave)
    os.close(master)
    return done.returncode, done.stderr


def test_a_terminal_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = make_package(tmp_path, more=ENV)
    code, err = on_a_terminal("n\n", "install", package)
    assert code == 1
    assert "demo 1.0.0 is not signed (sha256:" in err
    assert "Install it? [y/N]" in err
    assert "plugin demo: was not installed" in err
    code, err = on_a_terminal("y\nyes\n", "install", package)
    assert code == 0, err
    assert "demo 1.0.0 asks for env=DEMO_HOME. Grant it? [y/N]" in err
    run("info", "demo", "--output", "json")
    assert json.loads(capsys.readouterr().out)["grants"] == {"env": ["DEMO_HOME"]}


def test_a_terminal_may_choose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = make_package(tmp_path, more='[permissions]\nhosts = ["*"]')
    code, err = on_a_terminal("hooks.example.org\n", "install", package, "--allow-unsigned")
    assert code == 0, err
    assert "demo 1.0.0 asks you to choose hosts. Which? [none]" in err
    run("info", "demo", "--output", "json")
    assert json.loads(capsys.readouterr().out)["grants"] == {"hosts": ["hooks.example.org"]}
    assert run("install", package, "--allow-unsigned") == 0  # the same again: nothing is missing
    assert capsys.readouterr().err == ""
