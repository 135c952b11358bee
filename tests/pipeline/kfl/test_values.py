"""CEL's values in Python: types, equality, order."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from kubeshark.pipeline.kfl._values import (
    Duration,
    EvaluationError,
    Timestamp,
    Uint,
    boxer,
    equal,
    find_key,
    kind_of,
    less,
    type_of,
)

ONE_OF_EACH: list[Any] = [True, "1", b"1", ["1"], {"1": "1"}, None, Timestamp(1), Duration(1), 1]


def test_types() -> None:
    assert [kind_of(value) for value in (1, Uint(1), 1.0, True, None)] == ["int", "uint", "double", "bool", "null_type"]
    assert type_of(Timestamp(1)) == "google.protobuf.Timestamp"
    with pytest.raises(EvaluationError, match="set"):
        kind_of({1})


def test_values_of_other_types_never_equal() -> None:
    for left, right in combinations(ONE_OF_EACH, 2):
        assert not equal(left, right), (left, right)
    assert all(equal(value, value) for value in ONE_OF_EACH)


def test_numbers_equal_by_value() -> None:
    assert equal(1, Uint(1))
    assert equal(1, 1.0)
    assert equal(Uint(2), 2.0)
    assert not equal(1, True)
    assert not equal(float("nan"), float("nan"))


def test_lists_and_maps_equal_by_their_elements() -> None:
    assert equal([1, "a"], [1.0, "a"])
    assert not equal([1], [True])
    assert not equal([1], [1, 1])
    assert equal({"a": [1]}, {"a": [1.0]})
    assert not equal({"a": 1}, {"b": 1})
    assert not equal({1: "a"}, {True: "a"})


def test_keys_of_maps() -> None:
    assert find_key({1: "a"}, 1.0) == (1,)
    assert find_key({True: "a"}, 1) is None
    assert find_key({"a": 1}, "b") is None


def test_order() -> None:
    for left, right in (
        (1, 2),
        (1, 1.5),
        (Uint(1), 2),
        ("a", "b"),
        (b"a", b"b"),
        (False, True),
        (Timestamp(1), Timestamp(2)),
    ):
        assert less(left, right)
        assert not less(right, left)
    for left, right in ((1, "1"), (None, None), ([1], [2]), (Timestamp(1), Duration(2)), (True, 2)):
        with pytest.raises(EvaluationError, match="< does not work on"):
            less(left, right)


def test_boxes_make_types_visible() -> None:
    box = boxer("timestamp")
    assert box is not None
    assert kind_of(box(5)) == "timestamp"
    assert boxer("string") is None
