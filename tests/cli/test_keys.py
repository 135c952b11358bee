"""Identities from the command line: with and without a passphrase, several at once."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from kubeshark.cli import main
from tests.cli._command import kubeshark
from tests.core_capture.store._typing_person import run_on_a_terminal

SECRET = "correct horse battery staple"


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def test_new_and_list(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("keys", "new") == 0
    path, recipient = capsys.readouterr().out.strip().split(": ")
    assert path == str(own_home / ".kubeshark" / "identity.age")
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert run("keys", "list") == 0
    assert capsys.readouterr().out == f"{recipient}  {path}\n"
    assert run("keys", "new") == 1
    assert "a key is never replaced" in capsys.readouterr().err


def test_a_passphrase_is_asked_for_on_the_terminal(tmp_path: Path, sample: Path) -> None:
    path = tmp_path / "identity.age"
    command = [sys.executable, "-m", "kubeshark", "keys", "new", "--passphrase", "-o", path]
    code, shown = run_on_a_terminal(command, [SECRET, SECRET])
    assert code == 0, shown
    assert SECRET not in shown
    assert b"AGE-SECRET-KEY" not in path.read_bytes()
    identity = {"KUBESHARK_IDENTITY": str(path)}
    (tmp_path / "passphrase").write_text(SECRET)
    with_file = {**identity, "KUBESHARK_PASSPHRASE_FILE": str(tmp_path / "passphrase")}
    done = kubeshark("import", sample, "--store", tmp_path / "store", **with_file)
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "kubeshark", "store", "verify", "--store", tmp_path / "store"]
    code, shown = run_on_a_terminal(command, [SECRET], identity)
    assert code == 0, shown
    assert shown.count("Passphrase of") == 1
    code, shown = run_on_a_terminal(command, ["wrong"], identity)
    assert code == 1
    assert "wrong passphrase" in shown


def test_each_of_several_recipients_reads_it(
    tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipients = []
    for name in ("one", "two", "three"):
        assert run("keys", "new", "-o", tmp_path / name) == 0
        recipients.append(capsys.readouterr().out.split()[-1])
    to = [part for recipient in recipients[:2] for part in ("--recipient", recipient)]
    assert run("import", sample, *to, "--store", tmp_path / "store") == 0
    for name, code in (("one", 0), ("two", 0), ("three", 1)):
        monkeypatch.setenv("KUBESHARK_IDENTITY", str(tmp_path / name))
        assert run("store", "info", "--store", tmp_path / "store") == code
    assert "needs the identity of" in capsys.readouterr().err
    (tmp_path / "all").write_text("\n".join((tmp_path / name).read_text() for name in ("three", "two")))
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(tmp_path / "all"))
    assert run("store", "info", "--store", tmp_path / "store") == 0
    assert run("keys", "list") == 0
    assert len(capsys.readouterr().out.splitlines()) > 2


def test_export_recipient_is_the_recipient_alone(
    own_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("keys", "new", "-o", tmp_path / "lab.age") == 0
    recipient = capsys.readouterr().out.split()[-1]
    assert run("keys", "export-recipient", "--identity", tmp_path / "lab.age") == 0
    assert capsys.readouterr().out == f"{recipient}\n"
    assert run("keys", "export-recipient", "--identity", tmp_path / "lab.age", "-o", tmp_path / "lab.txt") == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "lab.txt").read_text() == f"{recipient}\n"
    assert run("keys", "export-recipient", "--identity", tmp_path / "nobody.age") == 1
