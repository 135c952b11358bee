"""What a command says on standard error; every command needs it, so it imports nothing."""

from __future__ import annotations

import sys

__all__ = ["Manner", "complain", "manner", "printable", "remark"]


class Manner:
    """How a run of the command line speaks: --quiet and --no-color."""

    is_quiet = False  # errors and data, nothing else
    has_colours = True  # on a terminal


manner = Manner()
"""Of the run that goes on: the global flags set it."""


def complain(problem: object) -> None:
    """Say on standard error, in one line, what was not done: names and texts in it may come from outside.

    Above it comes what its notes hold, all that a compiler said; on a terminal also where a filter is wrong.
    """
    notes: list[str] = list(getattr(problem, "__notes__", ()))
    if (picture := getattr(problem, "picture", "")) and sys.stderr.isatty():
        notes.append(picture)
    for text in notes:
        print("\n".join(printable(line) for line in str(text).splitlines()), file=sys.stderr)
    print(f"kubeshark: {printable(' '.join(str(problem).splitlines()))}", file=sys.stderr)


def remark(text: object) -> None:
    """Say what is good to know, and no error: not with --quiet."""
    if not manner.is_quiet:
        complain(text)


def printable(text: str) -> str:
    """Replace control characters: text from the network must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
