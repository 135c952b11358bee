"""Which store: the option, the environment, the home."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from kubeshark import Pipeline
from kubeshark.cli import main
from kubeshark.cli.options._store_option import add_store_option, add_time_options, join_times, store_path


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_store_option(parser)
    add_time_options(parser)
    return parser.parse_args(arguments)


def test_the_option_wins_over_the_environment_over_the_home(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_path(parse()) == own_home / ".kubeshark" / "store"
    monkeypatch.setenv("KUBESHARK_STORE", "~/other")
    assert store_path(parse()) == own_home / "other"
    assert store_path(parse("--store", "here")) == Path("here")
    monkeypatch.setenv("KUBESHARK_STORE", "")
    assert store_path(parse()) == own_home / ".kubeshark" / "store"


def test_relative_times_are_no_options() -> None:
    args = parse(*join_times(["--since", "-15m", "--until", "-5s"]))
    assert (args.since, args.until) == ("-15m", "-5s")
    assert parse(*join_times(["--since", "now"])).since == "now"
    assert join_times(["--since", "--store", "-d"]) == ["--since", "--store", "-d"]


def test_the_example_of_the_help_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Pipeline.open(tmp_path / "store").close()
    capsys.readouterr()
    assert main(["query", "dns", "--store", str(tmp_path / "store"), "--since", "-1h", "--output", "jsonl"]) == 0
    assert capsys.readouterr() == ("", "")
