"""Asking on a terminal: text, confirm, select, multi-select, in two manners with the same answers.

`Arrows` moves a cursor (questionary). `Plain` prints numbered lines and reads one line an answer: for screen readers,
dumb terminals, pipes. In both, ? gives help and < goes back. Ctrl-C ends, with nothing done.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TextIO

from kubeshark.cli.terminal._complain import printable
from kubeshark.errors import UsageError

__all__ = ["Arrows", "Ask", "Back", "Choice", "Plain", "Prompts", "prompts_for"]

HELP, BACK = "?", "<"
YES_NO = {"y": True, "yes": True, "n": False, "no": False}


class Back(Exception):
    """The question before is to be asked again."""


class Choice(NamedTuple):
    value: str
    label: str


class Ask(NamedTuple):
    """One question. `check` raises UsageError, and returns lines worth saying."""

    text: str
    help: str
    flag: str
    check: Callable[[Any], Sequence[str]] = lambda _: ()
    can_go_back: bool = True


class Prompts(Protocol):
    def say(self, line: str) -> None: ...
    def text(self, ask: Ask, default: str) -> str: ...
    def confirm(self, ask: Ask, default: bool) -> bool: ...
    def select(self, ask: Ask, choices: Sequence[Choice], default: str) -> str: ...
    def multi(self, ask: Ask, choices: Sequence[Choice], default: Sequence[str]) -> list[str]: ...


def prompts_for(environ: Any = os.environ) -> Prompts:
    """Return Arrows on a terminal that can, else Plain."""
    is_plain = environ.get("ACCESSIBLE", "0") not in ("", "0") or environ.get("TERM", "dumb") == "dumb"
    if is_plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return Plain(sys.stdin, sys.stdout)
    return Arrows()


class Plain:
    """One line an answer, nothing moves."""

    def __init__(self, given: TextIO, shown: TextIO) -> None:
        self._given, self._shown = given, shown

    def say(self, line: str) -> None:
        print(printable(line), file=self._shown, flush=True)

    def text(self, ask: Ask, default: str) -> str:
        hint = f" [{default}]" if default else ""
        return str(self._until(ask, [ask.text], f"Answer{hint}: ", lambda line: _typed(line, default)))

    def confirm(self, ask: Ask, default: bool) -> bool:
        def read(line: str) -> bool:
            if line.lower() not in ("", *YES_NO):
                raise UsageError("answer y or n")
            return YES_NO.get(line.lower(), default)

        return bool(self._until(ask, [ask.text], f"y or n [{'y' if default else 'n'}]: ", read))

    def select(self, ask: Ask, choices: Sequence[Choice], default: str) -> str:
        numbers = {choice.value: str(number) for number, choice in enumerate(choices, 1)}

        def read(line: str) -> str:
            return self._chosen(line or numbers.get(default, ""), choices)

        hint = f" [{numbers[default]}]" if default in numbers else ""
        return str(self._until(ask, [ask.text, *_numbered(choices, ())], f"Number{hint}: ", read))

    def multi(self, ask: Ask, choices: Sequence[Choice], default: Sequence[str]) -> list[str]:
        numbers = {choice.value: str(number) for number, choice in enumerate(choices, 1)}

        def read(line: str) -> list[str]:
            if line == "-":
                return []
            words = line.replace(",", " ").split() or [numbers[value] for value in default if value in numbers]
            chosen = {self._chosen(word, choices) for word in words}
            return [choice.value for choice in choices if choice.value in chosen]

        hint = " ".join(numbers[value] for value in default if value in numbers) or "none"
        lines = [ask.text, *_numbered(choices, default)]
        return list(self._until(ask, lines, f"Numbers, - for none [{hint}]: ", read))

    def _chosen(self, word: str, choices: Sequence[Choice]) -> str:
        if word.isascii() and word.isdigit() and 1 <= int(word) <= len(choices):
            return choices[int(word) - 1].value
        for choice in choices:
            if choice.value == word:
                return word
        raise UsageError(f"{word[:40]!r} is none of 1 to {len(choices)}")

    def _until(self, ask: Ask, lines: Sequence[str], prompt: str, read: Callable[[str], Any]) -> Any:
        """Ask until the answer can be meant."""
        self.say("")
        for line in lines:
            self.say(line)
        while True:
            print(printable(prompt), end="", file=self._shown, flush=True)
            line = self._given.readline()
            if not line:
                raise UsageError(f"the answers ended at: {ask.text}", hint=f"give it, or {ask.flag}")
            if taken := _take(self, ask, line.strip(), read):
                return taken[0]


def _take(prompts: Prompts, ask: Ask, given: Any, read: Callable[[Any], Any]) -> list[Any]:
    """React to what was given; return the one value that it means, nothing if it is to be asked again."""
    if given == HELP:
        for text in ask.help.splitlines():
            prompts.say(text)
        return []
    if given == BACK:
        if ask.can_go_back:
            raise Back
        prompts.say("this is the first question")
        return []
    try:
        value = read(given)
        said = ask.check(value)
    except UsageError as error:
        prompts.say(f"Not taken: {error}")
        return []
    for text in said:
        prompts.say(text)
    return [value]


def _typed(text: str, default: str) -> str:
    """Return what a typed line means."""
    line = text.strip()
    return default if not line else "" if line == '""' else line


def _numbered(choices: Sequence[Choice], chosen: Sequence[str]) -> list[str]:
    marks = dict.fromkeys(chosen, " (chosen)")
    return [f"{number}. {choice.label}{marks.get(choice.value, '')}" for number, choice in enumerate(choices, 1)]


class Arrows:
    """Cursor keys, by questionary."""

    def say(self, line: str) -> None:
        print(printable(line), flush=True)

    def text(self, ask: Ask, default: str) -> str:
        import questionary

        def make() -> Any:
            return questionary.text(ask.text, instruction=f"{hint}(? help, < back)")

        hint = f"[{printable(default)}] " if default else ""
        checked = ask._replace(check=lambda typed: ask.check(_typed(typed, default)))
        return _typed(str(self._until(checked, make, is_list=False)), default)

    def confirm(self, ask: Ask, default: bool) -> bool:
        choices = (Choice("y", "yes"), Choice("n", "no"))
        answers = ask._replace(check=lambda value: ask.check(value == "y"))
        return self.select(answers, choices, "y" if default else "n") == "y"

    def select(self, ask: Ask, choices: Sequence[Choice], default: str) -> str:
        import questionary

        listed = [questionary.Choice(printable(choice.label), choice.value) for choice in choices]
        known = default if default in {choice.value for choice in choices} else None
        instruction = "(arrows, Enter; ? help, < back)"
        return str(
            self._until(ask, lambda: questionary.select(ask.text, listed, default=known, instruction=instruction))
        )

    def multi(self, ask: Ask, choices: Sequence[Choice], default: Sequence[str]) -> list[str]:
        import questionary

        if not choices:
            return []
        listed = [
            questionary.Choice(printable(each.label), each.value, checked=each.value in default) for each in choices
        ]
        instruction = "(Space chooses, Enter; ? help, < back)"
        return list(self._until(ask, lambda: questionary.checkbox(ask.text, listed, instruction=instruction)))

    def _until(self, ask: Ask, make: Callable[[], Any], *, is_list: bool = True) -> Any:
        while True:
            question = make()
            if is_list:
                self._bind(question)
            value = question.unsafe_ask()  # Ctrl-C is raised, not swallowed
            if taken := _take(self, ask, value, lambda given: given):
                return taken[0]

    def _bind(self, question: Any) -> None:
        """Let ? and < answer lists, where questionary would ignore them; in a text they are typed."""
        from prompt_toolkit.key_binding import KeyBindings, merge_key_bindings

        application = question.application
        own = KeyBindings()
        for key in (HELP, BACK):
            own.add(key, eager=True)(lambda event, key=key: event.app.exit(result=key))
        application.key_bindings = merge_key_bindings([application.key_bindings, own])
