"""What a list shows of entries, as columns: read from the query's own columns, so that nothing is dissected for a row.

The cells `method`, `status` and `summary` come from whoever summarizes the protocol; the others are KFL variables, or
made of them. Long texts are cut: a list shows a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kubeshark.errors import UsageError
from kubeshark.pipeline import CELLS, SIZE, Run

__all__ = ["LIST_COLUMNS", "MAX_CELL", "ListColumns"]

CELL_NAMES = ("method", "status", "summary")
LIST_COLUMNS = ("timestamp", "protocol", "method", "status", "src", "dst", "summary", "elapsed", "size")
READ: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(CELL_NAMES, (CELLS,)),
    "timestamp": (),
    "src": ("src.ip", "src.port"),
    "dst": ("dst.ip", "dst.port"),
    "elapsed": ("elapsed_time",),
    "size": (SIZE,),
}
"""Column → what is read for it; a KFL variable is read as it is."""

MAX_COLUMNS = 40
FINEST = 4_096
"""Parts of a millisecond that a float holds of one since 1970, until 2039."""

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
        read = [field for name in names for field in READ.get(name, (name,))]
        self.fields = tuple(dict.fromkeys(read))
        """What the query has to read: for `StoreQuery.runs`."""

    def of(self, run: Run) -> dict[str, list[Any]]:
        """Return "id" and the columns, in order, a value an entry; texts are cut."""
        columns: dict[str, list[Any]] = {"id": run.column("id")}
        cells = run.column(CELLS) if CELLS in self.fields else []
        for name in self.names:
            if name in CELL_NAMES:
                place = CELL_NAMES.index(name)
                columns[name] = [_cut(cell[place]) for cell in cells]
            elif name == "timestamp":
                columns[name] = [_milliseconds(value) for value in run.start_ns.tolist()]
            elif name in ("src", "dst"):
                columns[name] = _ends(run.column(f"{name}.ip"), run.column(f"{name}.port"))
            elif name == "elapsed":
                columns[name] = [value / 1000 for value in run.column("elapsed_time")]
            elif name == "size":
                columns[name] = run.column(SIZE)
            elif name in self._times:
                columns[name] = [_milliseconds(value) for value in run.column(name)]
            else:
                columns[name] = list(map(_cut, run.column(name)))
        return columns


def _ends(addresses: Sequence[str], ports: Sequence[int]) -> list[str]:
    known: dict[tuple[str, int], str] = {}
    texts = []
    for end in zip(addresses, ports, strict=True):
        if end not in known:
            known[end] = f"[{end[0]}]:{end[1]}" if ":" in end[0] else f"{end[0]}:{end[1]}"
        texts.append(known[end])
    return texts


def _milliseconds(ns: int) -> float:
    """Return a time rounded down to what a float holds of it: it is never in a later millisecond than the entry's."""
    whole, rest = divmod(ns, 1_000_000)
    return whole + rest * FINEST // 1_000_000 / FINEST


def _cut(value: Any) -> Any:
    return value[:MAX_CELL] + "…" if isinstance(value, str) and len(value) > MAX_CELL else value
