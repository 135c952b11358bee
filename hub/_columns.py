"""What a list shows of entries, as columns: read from the query's own columns, so that nothing is dissected for a row.

The cells `method`, `status` and `summary` come from whoever summarizes the protocol; the others are KFL variables, or
made of them. Long texts are cut: a list shows a line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kubeshark.errors import UsageError
from kubeshark.pipeline import Run

__all__ = ["CELLS", "LIST_COLUMNS", "MAX_CELL", "ListColumns"]

CELLS = ("method", "status", "summary")
LIST_COLUMNS = ("timestamp", "protocol", "method", "status", "src", "dst", "summary", "elapsed", "size")
MAX_COLUMNS = 40
MAX_CELL = 2_048
"""Characters of a text; behind them comes an ellipsis."""


class ListColumns:
    """The columns of one query. Raises UsageError for a name that is neither one of the list's nor a variable."""

    def __init__(self, names: Sequence[str], variables: Mapping[str, Any]) -> None:
        if len(names) > MAX_COLUMNS or len(set(names)) != len(names):
            raise UsageError(f"at most {MAX_COLUMNS} columns, each once")
        for name in names:
            if name not in LIST_COLUMNS and name not in variables:
                raise UsageError(f"unknown column {name[:80]!r}", hint="a column of the list, or a KFL variable")
        self.names = tuple(names)
        self._times = {name for name in names if name in variables and variables[name].type == "timestamp"}

    def of(self, run: Run) -> dict[str, list[Any]]:
        """Return "id" and the columns, in order, a value an entry; texts are cut."""
        columns: dict[str, list[Any]] = {"id": run.column("id")}
        cells = run.cells() if any(name in CELLS for name in self.names) else None
        for name in self.names:
            if cells is not None and name in CELLS:
                columns[name] = list(map(_cut, cells[name]))
            elif name == "timestamp":
                columns[name] = (run.start_ns / 1e6).tolist()
            elif name in MADE:
                columns[name] = MADE[name](run)
            elif name in self._times:
                columns[name] = [value / 1e6 for value in run.column(name)]
            else:
                columns[name] = list(map(_cut, run.column(name)))
        return columns


def _cut(value: Any) -> Any:
    return value[:MAX_CELL] + "…" if isinstance(value, str) and len(value) > MAX_CELL else value


def _end(side: str) -> Callable[[Run], list[Any]]:
    def read(run: Run) -> list[Any]:
        known: dict[tuple[str, int], str] = {}
        texts = []
        for end in zip(run.column(f"{side}.ip"), run.column(f"{side}.port"), strict=True):
            if end not in known:
                known[end] = f"[{end[0]}]:{end[1]}" if ":" in end[0] else f"{end[0]}:{end[1]}"
            texts.append(known[end])
        return texts

    return read


MADE: Mapping[str, Callable[[Run], list[Any]]] = {
    "src": _end("src"),
    "dst": _end("dst"),
    "elapsed": lambda run: [value / 1000 for value in run.column("elapsed_time")],
    "size": lambda run: run.sizes(),
}
