"""Columns whose values are not picked yet."""

from __future__ import annotations

import numpy as np

from kubeshark.pipeline.tables._column import Column


def test_values_are_picked_from_lists_end_to_end() -> None:
    column = Column([["a", "b"], [], ["c"]], np.array([2, 0, 2, 1]))
    assert column.values() == ["c", "a", "c", "b"]
    assert column.size == 3


def test_values_that_are_there_are_one_a_row() -> None:
    column = Column.of([None, 1])
    assert column.values() == [None, 1]
    assert column.size == len(column.places) == 2
    assert Column.of([]).values() == []
