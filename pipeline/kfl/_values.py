"""CEL's values in Python: what their CEL type is, when two are equal, which is less.

Statically typed code works on plain int, float, str, bytes, bool, list and dict. Where a value enters `dyn` its CEL
type must be visible: uint, timestamp and duration are then subclasses of int (`boxer`). Source: cel-spec,
doc/langdef.md; where that leaves room, what CEL's C++ engine does (the tests compare).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = [
    "Duration",
    "EvaluationError",
    "Timestamp",
    "TypeValue",
    "Uint",
    "Undecided",
    "boxer",
    "equal",
    "find_key",
    "kind_of",
    "less",
    "no_overload",
    "type_of",
]


class EvaluationError(Exception):
    """Rule 5: this expression has no value for this entry. Never leaves the filter."""


class Undecided(EvaluationError):
    """The value depends on a plugin filter that was not asked yet."""


class Uint(int):
    __slots__ = ()


class Timestamp(int):
    """Nanoseconds since 1970."""

    __slots__ = ()


class Duration(int):
    """Nanoseconds."""

    __slots__ = ()


class TypeValue(str):
    """A type used as a value, by its CEL name."""

    __slots__ = ()


_KINDS: dict[type, str] = {
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    dict: "map",
    type(None): "null_type",
    TypeValue: "type",
    Timestamp: "timestamp",
    Duration: "duration",
}
_PROTOBUF_NAMES = {"timestamp": "google.protobuf.Timestamp", "duration": "google.protobuf.Duration"}
_BOXES: dict[str, Callable[[Any], Any]] = {"uint": Uint, "timestamp": Timestamp, "duration": Duration}
_NUMBERS = frozenset({int, float, Uint})
_ORDERED = frozenset({str, bytes, bool, int, float, Uint, Timestamp, Duration})


def kind_of(value: Any) -> str:
    """Return the name of a value's CEL type, as `Type.name` has it. Raise EvaluationError for what is no CEL value."""
    kind = _KINDS.get(type(value))
    if kind is None:
        raise EvaluationError(f"a variable holds a {type(value).__name__}")
    return kind


def type_of(value: Any) -> TypeValue:
    """CEL's type()."""
    kind = kind_of(value)
    return TypeValue(_PROTOBUF_NAMES.get(kind, kind))


def boxer(kind: str) -> Callable[[Any], Any] | None:
    """Return what makes plain values of a type carry it, or None where they already do."""
    return _BOXES.get(kind)


def equal(left: Any, right: Any) -> bool:
    """`==` of any two values: numbers by value across their types, other types never equal each other."""
    a, b = type(left), type(right)
    if a is b:
        if a is list:
            return len(left) == len(right) and all(map(equal, left, right))
        if a is dict:
            return len(left) == len(right) and all(
                (found := find_key(right, name)) is not None and equal(value, right[found[0]])
                for name, value in left.items()
            )
        return bool(left == right)
    if a not in _NUMBERS or b not in _NUMBERS:
        return False
    if a is float or b is float:
        return float(left) == float(right)
    return bool(left == right)


def find_key(mapping: dict[Any, Any], name: Any) -> tuple[Any] | None:
    """Return a map's own key that equals `name`, in a tuple; Python alone would let True stand for 1."""
    if name not in mapping:
        return None
    key = next(key for key in mapping if key == name) if type(name) in (bool, int, Uint, float) else name
    return (key,) if (type(key) is bool) == (type(name) is bool) else None


def less(left: Any, right: Any) -> bool:
    """`<` of two values of one ordered type, or of two numbers. Raise EvaluationError for anything else."""
    a, b = type(left), type(right)
    if a is b and a in _ORDERED:
        return bool(left < right)
    if a in _NUMBERS and b in _NUMBERS:
        return float(left) < float(right) if a is float or b is float else bool(left < right)
    raise no_overload("<", left, right)


def no_overload(name: str, *values: Any) -> EvaluationError:
    return EvaluationError(f"{name} does not work on {', '.join(map(type_of, values))}")
