"""Equal elements of an array: what numpy.unique does.

That loads numpy.ma when it is first called, 15 ms of a command that may take 100.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Groups", "distinct"]


class Groups:
    """The distinct elements of a one-dimensional array, ascending, and where they are."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._order = np.argsort(values, kind="stable")
        ordered = values[self._order]
        self._begins = np.ones(len(values), dtype=np.bool_)
        self._begins[1:] = ordered[1:] != ordered[:-1]
        self._starts = np.flatnonzero(self._begins)
        self.known: NDArray[Any] = ordered[self._starts]

    @property
    def first(self) -> NDArray[Any]:
        """Where each distinct element is found first."""
        first: NDArray[Any] = self._order[self._starts]
        return first

    @property
    def counts(self) -> NDArray[Any]:
        """How often each is there."""
        return np.diff(self._starts, append=len(self._order))

    @property
    def number(self) -> NDArray[Any]:
        """For each element of the array, its place in `known`."""
        number = np.empty(len(self._order), dtype=np.intp)
        number[self._order] = np.cumsum(self._begins) - 1
        return number

    @property
    def earlier(self) -> NDArray[Any]:
        """For each element of the array, how many equal ones are before it."""
        earlier = np.empty(len(self._order), dtype=np.intp)
        earlier[self._order] = np.arange(len(self._order)) - np.repeat(self._starts, self.counts)
        return earlier


def distinct(values: NDArray[Any]) -> NDArray[Any]:
    """Return the distinct elements of an array, ascending."""
    ordered = np.sort(values)
    begins = np.ones(len(values), dtype=np.bool_)
    begins[1:] = ordered[1:] != ordered[:-1]
    known: NDArray[Any] = ordered[begins]
    return known
