"""-q, --no-color and --yes: before the command and behind it, and no further than "--"."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeshark.cli import main
from kubeshark.cli.options._scripts_option import print_console
from kubeshark.cli.options._switches import take_switches
from kubeshark.cli.terminal._complain import manner
from kubeshark.cli.terminal._progress import Progress
from kubeshark.pipeline.scripts import ConsoleLine


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    take_switches([])


@pytest.mark.parametrize("words", [["-q", "query", "x"], ["query", "--quiet", "x"], ["query", "x", "-q"]])
def test_they_may_stand_anywhere(words: list[str]) -> None:
    assert take_switches(words)[0] == ["query", "x"]
    assert manner.is_quiet
    assert take_switches(["query", "--", "-q"]) == (["query", "--", "-q"], frozenset())
    assert not manner.is_quiet


@pytest.mark.parametrize("quiet", [["-q", "query"], ["query", "-q"]])
def test_quiet_is_data_alone(
    quiet: list[str], tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--store", str(tmp_path / "store")]
    assert main(["import", str(sample), *store]) == 0
    capsys.readouterr()
    ask = ["http and limit(1)", "--fields", "method", "--output", "jsonl", *store]
    assert main(["query", *ask]) == 0
    told = capsys.readouterr()
    assert "translated" in told.err
    assert main([*quiet, *ask]) == 0
    assert capsys.readouterr() == (told.out, "")
    assert main([*quiet, "nope", *store]) == 2
    assert "unknown variable nope" in capsys.readouterr().err


def test_quiet_shows_no_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    take_switches(["-q"])
    with Progress("importing") as progress:
        progress.show(1, 1)
    assert capsys.readouterr().err == ""


def test_no_colour_on_a_terminal_either() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    line = ConsoleLine(0, "s", "s", "hub", "error", "\x1b[31mred\x1b[0m")
    shown = []
    for words in ([], ["--no-color"]):
        take_switches(words)
        out = Terminal()
        print_console(line, out)
        shown.append("\x1b" in out.getvalue())
    assert shown == [True, False]


@pytest.mark.parametrize("words", [["--yes", "store", "recover"], ["store", "recover", "--yes"], ["store", "recover"]])
def test_yes_is_the_answer_of_a_command_that_has_its_own(
    words: list[str], tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--store", str(tmp_path / "store")]
    assert main(["import", str(sample), *store]) == 0
    capsys.readouterr()
    assert main([*words, *store, "--output", "json"]) == 0
    assert ('"done": true' in capsys.readouterr().out) is ("--yes" in words)


def test_the_help_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(flag in shown for flag in ("-q, --quiet", "--no-color", "--yes"))
