"""What goes wrong becomes one line and an exit code."""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeshark import __version__
from kubeshark.cli import _main, main
from kubeshark.errors import InputError, KubesharkError, PluginError, StoreError, UsageError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make `kubeshark version` raise."""

    def with_error(error: BaseException) -> None:
        def add_parser(commands: Any, name: str, summary: str) -> None:
            def run(args: argparse.Namespace) -> int:
                raise error

            commands.add_parser(name).set_defaults(run=run)

        module = type(sys)("kubeshark.cli.version")
        module.add_parser = add_parser  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "kubeshark.cli.version", module)

    return with_error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("no such thing", hint="try that"), 2, "no such thing: try that"),
        (InputError("is cut", file="a.pcap"), 3, "a.pcap: is cut"),
        (StoreError("no store"), 1, "no store"),
        (PluginError("said\ntwo lines", plugin="p"), 1, "plugin p: said two lines"),
        (FileNotFoundError(2, "No such file or directory", "x.pcap"), 1, "x.pcap: No such file or directory"),
        (OSError("odd"), 1, "odd"),
        (
            ModuleNotFoundError("none", name="kubeshark.worker"),
            1,
            "this installation lacks kubeshark.worker: an image holds what its role needs; use the whole kubeshark",
        ),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_errors(
    error: BaseException,
    code: int,
    line: str,
    failing: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing(error)
    assert main(["version"]) == code
    assert capsys.readouterr() == ("", f"kubeshark: {line}\n")


@pytest.mark.parametrize("error", [UsageError("x"), OSError("x")])
def test_debug_shows_the_traceback(error: Exception, failing: Callable[[BaseException], None]) -> None:
    failing(error)
    with pytest.raises(type(error)):
        main(["--debug", "version"])


def test_programming_errors_are_not_hidden(failing: Callable[[BaseException], None]) -> None:
    failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["version"])


def test_a_reader_that_went_away_is_no_error(failing: Callable[[BaseException], None], monkeypatch: Any) -> None:
    failing(BrokenPipeError())
    with Path(os.devnull).open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert main(["version"]) == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["frobnicate"], "frobnicate"),
        (["version", "--nope"], "--nope"),
        (["query", "--limit", "x"], "whole number"),
        (["import"], "FILE"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("kubeshark: ")
    assert word in err
    assert err.count("\n") == 1
    assert "--help" in err


def test_no_command_shows_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert all(command in shown for command in _main.COMMANDS)


def test_every_command_is_a_module_with_help() -> None:
    parser = _main.build_parser()
    for command in _main.COMMANDS:
        with pytest.raises(SystemExit) as ended, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdout", io.StringIO())
            parser.parse_args([command, "--help"])
        assert ended.value.code == 0


def test_only_the_module_of_the_command_is_loaded() -> None:
    code = "import sys; from kubeshark.cli import main; main(['version']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "kubeshark.cli.version" in loaded
    assert not {"kubeshark.cli.query", "kubeshark.pipeline", "kubeshark.hub", "fastapi"} & set(loaded)


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "kubeshark", "version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("kubeshark ")


def test_every_exit_code_is_documented() -> None:
    codes = {str(kind.exit_code) for kind in (KubesharkError, UsageError, InputError, StoreError, PluginError)}
    assert all(f"{code} " in str(_main.__doc__) for code in {*codes, "0", "130"})


def test_version_is_an_option_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    broken = tmp_path / "kubeshark.yaml"
    broken.write_text("tap: [")  # whoever asks for the version is not told about a configuration
    with pytest.raises(SystemExit) as stopped:
        main(["--config-path", str(broken), "--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"kubeshark {__version__}\n"


@pytest.mark.parametrize(("arguments", "code"), [("version", 0), ("store info --store /nowhere", 1)])
def test_the_process_ends_with_its_code_and_what_was_to_be_done_at_the_end(arguments: str, code: int) -> None:
    script = """
import atexit, threading
from kubeshark.cli import _main

def late():
    threading.main_thread().join()  # until it is at its end, and waits for the others
    print("a thread ended")

def run(really=_main.main):
    threading.Thread(target=late).start()
    atexit.register(print, "at the end")
    return really()

_main.main = run
_main.command()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments.split()], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines()[-2:] == ["a thread ended", "at the end"]
