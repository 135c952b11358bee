"""A column of rows whose values are not picked yet; how a scanner's messages tell them is a `dissectors.Column`.

A query reads columns chunk by chunk, and hands entries out in an order that goes across chunks: each value is picked
once, then. Picking it chunk by chunk, too, took a tenth of a query of summaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kubeshark.pipeline.tables._objects import pick

__all__ = ["Column"]


class Column(NamedTuple):
    """The value of row i is at `places[i]` of `lists` laid end to end. Columns of the same rows share `places`."""

    lists: Sequence[list[Any]]
    places: NDArray[Any]  # i8

    @classmethod
    def of(cls, values: list[Any]) -> Column:
        """Return values that are there, one a row."""
        return cls([values], np.arange(len(values)))

    @property
    def size(self) -> int:
        """How many values there are to pick from."""
        return sum(map(len, self.lists))

    def values(self) -> list[Any]:
        """Return the value of each row."""
        return pick(self.lists, self.places)
