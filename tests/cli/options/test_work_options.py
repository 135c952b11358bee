"""Pages, budgets and processes on the command line."""

from __future__ import annotations

import argparse

import pytest

from kubeshark.cli.options._work_options import add_work_options, page_lines, parse_jobs, parse_seconds, work_options


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_work_options(parser)
    return parser.parse_args(arguments)


def test_by_default_everything_in_time_order() -> None:
    args = options()
    assert work_options(args) == {
        "order": "asc",
        "after": None,
        "before": None,
        "max_seconds": None,
        "max_bytes": None,
    }
    assert args.jobs is None


def test_all_of_them() -> None:
    args = options("--reverse", "--after", "A", "--max-seconds", "5m", "--max-bytes", "2GB", "--jobs", "4", "--cursor")
    given = work_options(args)
    assert (given["order"], given["after"], given["max_seconds"]) == ("desc", "A", 300)
    assert (given["max_bytes"], args.jobs, args.cursor) == (2_000_000_000, 4, True)
    other = work_options(options("--budget-time", "0.5", "--budget-bytes", "1KiB", "--before", "B"))
    assert (other["max_seconds"], other["max_bytes"], other["before"]) == (0.5, 1024, "B")


def test_a_budget_of_nothing_is_none() -> None:
    given = work_options(options("--max-seconds", "0", "--max-bytes", "0"))
    assert (given["max_seconds"], given["max_bytes"]) == (None, None)


@pytest.mark.parametrize("option", ["--after", "--before"])
@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_cursor_is_none(option: str, text: str) -> None:
    with pytest.raises(argparse.ArgumentError, match="the cursor is empty"):
        options(option, text)


@pytest.mark.parametrize(("text", "seconds"), [("30", 30), ("1.5s", 1.5), ("2m", 120), ("1H", 3600), ("0", 0)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "1d", "1e9", "٣"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no duration"):
        parse_seconds(text)


@pytest.mark.parametrize("text", ["0", "-1", "x", "1000", "1.5", ""])
def test_what_is_no_number_of_processes(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="number of processes"):
        parse_jobs(text)


def test_pages_say_with_which_options_to_go_on() -> None:
    class Found:
        def __init__(self, cursor: str | None, cursor_back: str | None) -> None:
            self.cursor, self.cursor_back = cursor, cursor_back

    assert page_lines(Found("A", "B")) == ["--after A", "--before B"]  # type: ignore[arg-type]
    assert page_lines(Found(None, "B")) == ["--before B"]  # type: ignore[arg-type]
    assert page_lines(Found(None, None)) == []  # type: ignore[arg-type]
