"""Plain prompts by their text; those with arrow keys are driven in tests/cli/test_init.py, on a real terminal."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kubeshark.cli.survey._prompts import Ask, Back, Choice, Plain, prompts_for
from kubeshark.errors import UsageError

CHOICES = (Choice("a", "the first"), Choice("b", "the second"), Choice("c", "the third"))


def even(value: Any) -> Sequence[str]:
    if value == "odd":
        raise UsageError("that is odd", hint="take another")
    return ("good",)


ASK = Ask("Which one?", "Line one.\nLine two.", "--which", even)


def plain(*lines: str) -> tuple[Plain, Callable[[], str]]:
    shown = io.StringIO()
    return Plain(io.StringIO("".join(f"{line}\n" for line in lines)), shown), shown.getvalue


def test_text() -> None:
    prompts, shown = plain("?", "odd", "fine")
    assert prompts.text(ASK, "default") == "fine"
    assert shown() == (
        "\nWhich one?\nAnswer [default]: Line one.\nLine two.\n"
        "Answer [default]: Not taken: that is odd: take another\nAnswer [default]: good\n"
    )
    prompts, _ = plain("", '""')
    assert (prompts.text(ASK, "default"), prompts.text(ASK, "default")) == ("default", "")


def test_confirm() -> None:
    prompts, shown = plain("", "maybe", "Yes", "n")
    assert [prompts.confirm(ASK, False), prompts.confirm(ASK, False), prompts.confirm(ASK, True)] == [
        False,
        True,
        False,
    ]
    assert "Not taken: answer y or n" in shown()


def test_select_by_number_or_name() -> None:
    prompts, shown = plain("", "3", "a", "4", "0", "x", "1")
    answers = [prompts.select(ASK, CHOICES, "b") for _ in range(4)]
    assert answers == ["b", "c", "a", "a"]
    assert "1. the first\n2. the second\n3. the third\nNumber [2]: " in shown()
    assert "'x' is none of 1 to 3" in shown()


def test_multi() -> None:
    prompts, shown = plain("", "3 1", "-", "b,a")
    answers = [prompts.multi(ASK, CHOICES, ["b"]) for _ in range(4)]
    assert answers == [["b"], ["a", "c"], [], ["a", "b"]]
    assert "2. the second (chosen)\n3. the third\nNumbers, - for none [2]: " in shown()


def test_back_and_the_end_of_the_answers() -> None:
    prompts, shown = plain("<", "<", "x")
    with pytest.raises(Back):
        prompts.text(ASK, "")
    assert prompts.text(ASK._replace(can_go_back=False), "") == "x"
    assert "this is the first question" in shown()
    with pytest.raises(UsageError, match=r"the answers ended at: Which one\?: give it, or --which"):
        prompts.text(ASK, "")


def test_what_comes_from_outside_does_not_steer_the_terminal() -> None:
    prompts, shown = plain("1")
    prompts.select(ASK, [Choice("a", "\x1b[2Jname")], "")
    assert "\x1b" not in shown()


@pytest.mark.parametrize("environ", [{"ACCESSIBLE": "1", "TERM": "xterm"}, {"TERM": "dumb"}, {}, {"TERM": "xterm"}])
def test_plain_where_it_is_asked_for_or_there_is_no_terminal(environ: dict[str, str]) -> None:
    assert isinstance(prompts_for(environ), Plain)
