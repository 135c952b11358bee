"""Errors of KFL: a UsageError that can also draw the line with a caret."""

from __future__ import annotations

from kubeshark.errors import UsageError

__all__ = ["KflError", "PlacedError", "line_and_column", "text_error"]

MAX_MESSAGE = 160

PICTURE_WIDTH = 100
"""Columns of a long source line that the picture shows, around the caret."""


class KflError(UsageError):
    """A KFL text cannot be meant: `line` and `column` are 1-based code points, `picture` is two lines with a caret."""

    def __init__(self, message: str, *, hint: str = "", line: int = 0, column: int = 0, picture: str = "") -> None:
        self.picture = picture
        super().__init__(message, hint=hint, line=line, column=column)


class PlacedError(Exception):
    """Something in the checked tree cannot be meant; `at` is its offset in the text CEL was given."""

    def __init__(self, message: str, at: int, *, hint: str = "") -> None:
        self.message, self.at, self.hint = message, at, hint
        super().__init__(message)


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return the 1-based line and column of a code point offset; only "\\n" ends a line, as in CEL."""
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def text_error(text: str, offset: int, message: str, *, hint: str = "") -> KflError:
    """Build the error that points at `offset` in `text`."""
    offset = min(max(offset, 0), len(text))
    line, column = line_and_column(text, offset)
    start = offset - (column - 1)
    end = text.find("\n", start)
    source = _printable(text[start : end if end >= 0 else len(text)])
    skip = max(0, column - 1 - PICTURE_WIDTH // 2)
    shown = source[skip : skip + PICTURE_WIDTH]
    picture = f"{shown}\n{' ' * (column - 1 - skip)}^"
    words = f"line {line}, column {column}: {_short(message)}"
    return KflError(words, hint=_short(hint), line=line, column=column, picture=picture)


def _short(message: str) -> str:
    """One line for a terminal, whatever names and literals the text put into it."""
    return _printable(message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}…")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
