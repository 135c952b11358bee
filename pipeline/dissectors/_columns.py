"""KFL variables read from what a scanner found, many rows at once, without the dissector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture import Scanned
from kubeshark.pipeline.dissectors._text import texts as made_texts

__all__ = ["Column", "Columns", "Read", "always", "numbers", "sizes", "texts"]

Read = Callable[[Scanned, NDArray[Any]], list[Any]]
"""Gives the value of each of these rows of `Scanned.messages`."""


class Column(Struct, frozen=True):
    """A variable of an exchange: said by the first of `halves` that is there, its type's default without any."""

    read: Read
    halves: tuple[str, ...] = ("request",)  # of EXCHANGE: request, response, event
    protocol: int | None = None  # of MESSAGE: only messages of this one say it


Columns = Mapping[str, Column]


def always(value: Any) -> Read:
    """Say the same of every message."""
    return lambda _found, rows: [value] * len(rows)


def numbers(place: int, to: Callable[[int], Any] | None = None) -> Read:
    """Read one of a message's numbers, made into what `to` says."""

    def read(found: Scanned, rows: NDArray[Any]) -> list[Any]:
        values: list[int] = found.messages["number"][rows, place].tolist()
        return values if to is None else _each(values, to)

    return read


def texts(place: int, to: Callable[[str], Any] | None = None) -> Read:
    """Read one of a message's texts, made into what `to` says."""

    def read(found: Scanned, rows: NDArray[Any]) -> list[Any]:
        values = made_texts(found.text, found.messages["text"][rows, place])
        return values if to is None else _each(values, to)

    return read


def sizes(*, but: int | None = None) -> Read:
    """Read the messages' bytes, less the number at place `but`."""

    def read(found: Scanned, rows: NDArray[Any]) -> list[Any]:
        messages = found.messages
        size = messages["end"][rows].astype("i8") - messages["start"][rows]
        values: list[int] = (size if but is None else size - messages["number"][rows, but]).tolist()
        return values

    return read


def _each(raw: list[Any], to: Callable[[Any], Any]) -> list[Any]:
    """Convert each value; equal ones, of which traffic has many, once."""
    known = {value: to(value) for value in set(raw)}
    return [known[value] for value in raw]
