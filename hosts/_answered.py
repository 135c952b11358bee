"""What a plugin said about streams: columns as it wrote them, made into messages for whoever looks at those."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar, overload

from msgspec import Struct, field

from kubeshark.extension_api._batch import Columns
from kubeshark.extension_api._frame import FrameMessage
from kubeshark.extension_api._models import Message, VariableType
from kubeshark.hosts._feed import Found, Lane, Taken

__all__ = ["Answer", "Answered", "AnsweredItem", "Shared"]

T = TypeVar("T")


class Shared(Sequence[T]):
    """One value that is the answer to each of `count` items: a list of thousands takes longer than an item's parse."""

    __slots__ = ("_count", "_value")

    def __init__(self, value: T, count: int) -> None:
        self._value = value
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> Shared[T]: ...
    def __getitem__(self, at: int | slice) -> T | Shared[T]:
        if isinstance(at, slice):
            return Shared(self._value, len(range(self._count)[at]))
        range(self._count)[at]  # IndexError
        return self._value


@dataclass(eq=False)
class Answer:
    """The result of one frame, or of what was left of it."""

    columns: Columns

    @cached_property
    def consumed(self) -> list[int]:
        """Bytes, one an item."""
        return self.columns.consumed.tolist()

    @cached_property
    def messages(self) -> list[list[FrameMessage]]:
        """Of each item."""
        return [messages for _, messages in self.columns.by_item()]


class AnsweredItem(NamedTuple):
    """One item's part of an answer: a `Result`."""

    answer: Answer
    item: int

    @property
    def consumed(self) -> int:
        return self.answer.consumed[self.item]

    @property
    def messages(self) -> list[FrameMessage]:
        return self.answer.messages[self.item]


class Answered(Struct, frozen=True):
    """All that a plugin said about one stream."""

    lanes: Sequence[Lane]
    fields: Sequence[tuple[str, VariableType]]  # KFL variable ("": none) and type of each field, by its number
    _message: Callable[[Found], Message]
    _made: list[Message] = field(default_factory=list)

    def items(self) -> list[tuple[Taken, AnsweredItem]] | None:
        """Return the items and their answers; None if bytes were lost, which only messages can say."""
        parts = [part for lane in self.lanes for part in lane.parts]
        found = [(part, part.result) for part in parts if isinstance(part, Taken)]
        whole = [(part, result) for part, result in found if isinstance(result, AnsweredItem)]
        return whole if len(whole) == len(parts) else None

    def messages(self) -> list[Message]:
        """Return the messages and errors, made once."""
        if not self._made:
            self._made.extend(self._message(found) for lane in self.lanes for found in lane.found)
        return self._made
