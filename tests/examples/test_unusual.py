"""The unusual example: the one exchange that took too long for its path, among slower ones of another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeshark.pipeline.plugins._trial import Trial, expectations


@pytest.fixture(scope="module")
def folder(copy_of: Callable[[str], Path]) -> Path:
    return copy_of("js/unusual")


def found(trial: Trial, capture: Path, kfl: str) -> list[str]:
    return [str(entry.get("path")) for entry in trial.entries(capture, kfl)]


def test_its_capture(folder: Path) -> None:
    (expectation,) = expectations(folder)
    with Trial(folder) as trial:
        outcome = trial.test(expectation)
        assert outcome.is_good, outcome
        took = [entry.get("elapsed_time") for entry in trial.entries(expectation.capture, "http && path == '/report'")]
    (row,) = (json.loads(line) for line in expectation.file.read_text().splitlines())
    assert max(time for time in took if isinstance(time, int)) > row["elapsed_time"]  # what is usual there


def test_nothing_is_unusual_before_it_has_learnt(folder: Path) -> None:
    (expectation,) = expectations(folder)
    with Trial(folder, {"after": 20}) as trial:
        assert found(trial, expectation.capture, "http && unusually_slow(3.0)") == []


def test_its_argument_says_how_much(folder: Path) -> None:
    (expectation,) = expectations(folder)
    with Trial(folder) as trial:
        assert found(trial, expectation.capture, "http && unusually_slow(100.0)") == []
    with Trial(folder, build=False) as trial:  # one that has learnt nothing yet
        assert len(found(trial, expectation.capture, "http && unusually_slow(0.5)")) > 1
