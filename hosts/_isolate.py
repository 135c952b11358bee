"""Finds the units of a batch that break a plugin, at the cost of no other unit's answer.

Pure: what running a part means is the caller's. With one bad unit among n it takes about 2 log2 n parts, one more if
the failure names a unit rightly. Every failure removes a unit or halves a part, so it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["PartFailedError", "isolate"]

T = TypeVar("T")


class PartFailedError(Exception):
    """Running a part of a batch failed. `unit` is the one to blame, counted from the part's start, if that is known."""

    def __init__(self, reason: str, unit: int | None = None) -> None:
        self.reason = reason
        self.unit = unit
        super().__init__(reason)


def isolate(
    units: int, run: Callable[[range], Sequence[T]], give_up: Callable[[str], T], failed: PartFailedError | None = None
) -> tuple[Sequence[T], str]:
    """Return one answer a unit and the last failure's reason, "" if there was none.

    `run(part)` answers the units of a part or raises PartFailedError; `give_up(reason)` stands for the answer of a unit
    that fails alone. `failed` is what all of them together ended with, where that was tried.
    """
    answers: dict[int, T] = {}
    todo = [range(units)] if units else []
    suspect = range(0)
    names_are_true = True
    reason = ""
    while todo:
        part = todo.pop()
        try:
            if failed:
                raise failed
            found = run(part)
            if len(part) == len(found) == units:
                return found, ""  # nothing went wrong: the rule
            answers.update(zip(part, found, strict=True))
            if part == suspect:
                names_are_true = False  # innocent: whoever wrote over the whole result made it look guilty
        except PartFailedError as error:
            failed = None
            reason = error.reason
            if len(part) == 1:
                answers[part.start] = give_up(reason)
            elif names_are_true and error.unit is not None:
                unit = part.start + error.unit
                suspect = range(unit, unit + 1)
                todo += [range(unit + 1, part.stop), range(part.start, unit), suspect]
            else:
                middle = (part.start + part.stop) // 2
                todo += [range(middle, part.stop), range(part.start, middle)]
        todo = [part for part in todo if part]
    return [answers[unit] for unit in range(units)], reason
