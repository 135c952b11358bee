"""What a command says on standard error; every command needs it, so it imports nothing."""

from __future__ import annotations

import sys

__all__ = ["complain", "printable"]


def complain(problem: object) -> None:
    """Say on standard error, in one line, what was not done: names and texts in it may come from outside.

    Above it comes what its notes hold: all that a compiler said.
    """
    for note in getattr(problem, "__notes__", ()):
        print("\n".join(printable(line) for line in str(note).splitlines()), file=sys.stderr)
    print(f"kubeshark: {printable(' '.join(str(problem).splitlines()))}", file=sys.stderr)


def printable(text: str) -> str:
    """Replace control characters: text from the network must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
