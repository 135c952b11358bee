"""Rows of lists as data: which KFL variables say what an entry did, what it was about, and how it ended.

Of many entries at once a row is three columns (`Summary.columns`), and no filter is written for a cell that nobody
clicks on. A cell's `tell` and `column` say the same (tests/pipeline/renderers/test_summaries.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from kubeshark.extension_api import EntryView, ProtocolSpec, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals, member
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["Cell", "Code", "Failed", "Read", "Said", "Summary", "Told", "summaries", "summary"]


class Read(Protocol):
    """Reads a KFL variable of many entries, or of those at some places: what columns do not know is dissected."""

    def __call__(self, name: str, places: Sequence[int] | None = None, /) -> list[Any]: ...


class Cell(Protocol):
    """A cell of a row. It reads the KFL variables `reads`."""

    @property
    def reads(self) -> tuple[str, ...]: ...
    def tell(self, *values: Any) -> tuple[Any, str]:
        """Return what is shown, and the filter that selects it; "": none does."""
        ...

    def column(self, read: Read) -> list[Any]:
        """Return what is shown of many entries."""
        ...


class Said:
    """The first of some variables that says something, as text; of a list its first element."""

    def __init__(self, *variables: str, shown: Callable[[str], str] | None = None) -> None:
        """`shown` makes of a value what the list shows."""
        self.reads = variables
        self._shown = shown

    def tell(self, *values: Any) -> tuple[str, str]:
        at = next((at for at, value in enumerate(values) if _text(value)), -1)
        text, variable = _text(values[at]), self.reads[at]
        query = member(text, variable) if isinstance(values[at], list) else equals(variable, text)
        return (text if self._shown is None else self._shown(text)), query

    def column(self, read: Read) -> list[Any]:
        texts = [each if type(each) is str else _text(each) for each in read(self.reads[0])]
        for name in self.reads[1:]:
            if missing := [place for place, text in enumerate(texts) if not text]:
                for place, value in zip(missing, read(name, missing), strict=True):
                    texts[place] = _text(value)
        return texts if self._shown is None else list(map(self._shown, texts))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return str(value[0]) if value else ""
    return str(value)


class Code:
    """A number: of a status, a result, an error. It selects where it is not 0, or where `answered` says something."""

    def __init__(self, variable: str, *, answered: str = "") -> None:
        self.reads = (variable, answered) if answered else (variable,)

    def tell(self, *values: Any) -> tuple[int, str]:
        code = int(values[0])
        return code, equals(self.reads[0], code) if values[-1] else ""

    def column(self, read: Read) -> list[Any]:
        return list(map(int, read(self.reads[0])))


class Failed:
    """1 where what was `answered` was no success."""

    def __init__(self, success: str, *, answered: str) -> None:
        self.reads = (success, answered)

    def tell(self, *values: Any) -> tuple[int, str]:
        success, answered = values
        return int(bool(answered) and not success), equals(self.reads[0], bool(success)) if answered else ""

    def column(self, read: Read) -> list[Any]:
        told = zip(*map(read, self.reads), strict=True)
        return [int(bool(answered) and not success) for success, answered in told]


class Told:
    """What a function says of some variables: what is shown, and its filter."""

    def __init__(self, *reads: str, by: Callable[..., tuple[Any, str]]) -> None:
        self.reads = reads
        self.tell = by

    def column(self, read: Read) -> list[Any]:
        return [self.tell(*values)[0] for values in zip(*map(read, self.reads), strict=True)]


class Summary(Struct, frozen=True):
    """The row of a protocol's entries: the cells method, summary and status (entries.md §5)."""

    method: Cell
    about: Cell
    status: Cell | None = None

    def __call__(self, entry: EntryView) -> dict[str, Any]:
        """Return the cells of one entry."""
        method, about = (each.tell(*map(entry.get, each.reads)) for each in (self.method, self.about))
        status = (0, "") if self.status is None else self.status.tell(*map(entry.get, self.status.reads))
        return cells(*method, *about, *status)

    def columns(self, read: Read, count: int) -> tuple[list[Any], list[Any], list[Any]]:
        """Return (methods, statuses, summaries) of `count` entries."""
        status = [0] * count if self.status is None else self.status.column(read)
        return self.method.column(read), status, self.about.column(read)


def summary(protocol: str, method: str | Cell, about: str | Cell, status: str | Cell | None = None) -> Any:
    """Return the `summarize` hook of a module with one protocol, by flag or name.

    The name of a variable stands for `Said` of it, in a status for `Code`.
    """
    found = Summary(
        Said(method) if isinstance(method, str) else method,
        Said(about) if isinstance(about, str) else about,
        Code(status) if isinstance(status, str) else status,
    )
    return summaries({protocol: found})


def summaries(known: Mapping[str, Summary | Callable[[EntryView], dict[str, Any]]]) -> Any:
    """Return the `summarize` hook of a module that knows these protocols, by flag or name.

    What is no `Summary` is a function of an entry: it reads what it cannot know before.
    """

    def of(protocol: ProtocolSpec) -> Summary | Callable[[EntryView], dict[str, Any]] | None:
        return known.get(protocol.flag) or known.get(protocol.name)

    @hookimpl
    def summarize(entry: EntryView) -> dict[str, Any] | None:
        found = of(entry.protocol)
        return found(entry) if found is not None else None

    summarize.of = of  # type: ignore[attr-defined]  # `Display` asks it about no other protocol
    return summarize
