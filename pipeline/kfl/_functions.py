"""Operators and functions of KFL by the types of their operands.

One table serves both ways of calling: statically typed calls pick their overload when the filter is compiled, calls on
`dyn` when they run. Functions take plain values and raise EvaluationError (rule 5).
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from kubeshark.pipeline.kfl import _clock, _network, _paths
from kubeshark.pipeline.kfl._regex import PatternError, searcher
from kubeshark.pipeline.kfl._values import EvaluationError, find_key, no_overload

__all__ = ["OVERLOADS", "Overload", "index_map"]

INT_MIN, INT_MAX, UINT_MAX = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1
_INT_TEXT = re.compile(r"\s*[+-]?[0-9]+\s*\Z")
_DOUBLE_TEXT = re.compile(r"\s*[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?|nan)\s*\Z", re.I)
_BOOL_TEXTS = {
    text: value
    for value, texts in ((True, "1 t true True TRUE"), (False, "0 f false False FALSE"))
    for text in texts.split()
}


class Overload(Struct, frozen=True):
    call: Callable[..., Any]
    result: str  # name of the CEL type


def _int(value: int) -> int:
    if INT_MIN <= value <= INT_MAX:
        return value
    raise EvaluationError("integer overflow")


def _uint(value: int) -> int:
    if 0 <= value <= UINT_MAX:
        return value
    raise EvaluationError("unsigned integer overflow")


def _divide_int(left: int, right: int) -> int:
    """Truncates towards zero, as C does; Python's // rounds down."""
    if right == 0:
        raise EvaluationError("division by zero")
    quotient = abs(left) // abs(right)
    return _int(quotient if (left < 0) == (right < 0) else -quotient)


def _remainder_int(left: int, right: int) -> int:
    """Has the dividend's sign."""
    if right == 0:
        raise EvaluationError("modulus by zero")
    if right == -1 and left == INT_MIN:
        raise EvaluationError("integer overflow")
    rest = abs(left) % abs(right)
    return rest if left >= 0 else -rest


def _divide_double(left: float, right: float) -> float:
    """IEEE 754, where Python raises."""
    if right:
        return left / right
    if not left or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _int_from_double(value: float) -> int:
    if INT_MIN < value < INT_MAX:  # both ends become 2**63 as doubles: excluded, as in CEL
        return int(value)
    raise EvaluationError("double out of range of int")


def _uint_from_double(value: float) -> int:
    if 0 <= value < UINT_MAX:
        return int(value)
    raise EvaluationError("double out of range of uint")


def _int_from_text(text: str) -> int:
    if not _INT_TEXT.match(text) or len(text) > 64:  # int() of a megabyte of digits would take minutes
        raise EvaluationError("string is not an int")
    return _int(int(text))


def _uint_from_text(text: str) -> int:
    if "-" in text or not _INT_TEXT.match(text) or len(text) > 64:
        raise EvaluationError("string is not a uint")
    return _uint(int(text))


def _double_from_text(text: str) -> float:
    if not _DOUBLE_TEXT.match(text):
        raise EvaluationError("string is not a double")
    return float(text)


def _bool_from_text(text: str) -> bool:
    if text not in _BOOL_TEXTS:
        raise EvaluationError("string is not a bool")
    return _BOOL_TEXTS[text]


def _text_from_double(value: float) -> str:
    """Shortest digits that read back equal, exponent outside 1e-4 … 1e6, as CEL's engine prints."""
    if not math.isfinite(value):
        return str(value)
    digits, exponent = f"{value!r}", 0
    sign = "-" if digits.startswith("-") else ""
    mantissa, _, power = digits.removeprefix("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = fraction if fraction != "0" else ""
    significant = (whole + fraction).lstrip("0")
    if not significant:
        return f"{sign}0"
    exponent = int(power or 0) + (len(whole) if whole != "0" else len(significant) - len(fraction)) - 1
    significant = significant.rstrip("0")
    if exponent < -4 or exponent >= 6:
        shown = significant[0] + (f".{significant[1:]}" if len(significant) > 1 else "")
        return f"{sign}{shown}e{'-' if exponent < 0 else '+'}{abs(exponent):02}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{significant}"
    whole = significant[: exponent + 1].ljust(exponent + 1, "0")
    rest = significant[exponent + 1 :]
    return f"{sign}{whole}.{rest}" if rest else sign + whole


def _text_from_bytes(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise EvaluationError("bytes are not UTF-8") from None


def _bytes_from_text(value: str) -> bytes:
    return value.encode("utf-8", "replace")


def _matches(text: str, pattern: str) -> bool:
    try:
        search = searcher(pattern)
    except PatternError as error:
        raise EvaluationError(f"bad pattern: {error}") from None
    return search(text)


def _unsupported(name: str) -> Callable[[Any], Any]:
    def refuse(value: Any) -> Any:
        raise no_overload(name, value)

    return refuse


def _index_list(items: list[Any], index: Any) -> Any:
    """`list[index]`; a double without fraction is an index too, a negative one never is."""
    at = int(index) if isinstance(index, int) or index.is_integer() else -1
    if isinstance(index, bool) or not 0 <= at < len(items):
        raise EvaluationError(f"index {index} is outside a list of {len(items)}")
    return items[at]


def index_map(mapping: dict[Any, Any], key: Any) -> Any:
    found = find_key(mapping, key) if not isinstance(key, (list, dict)) else None
    if found is None:
        raise EvaluationError(f"key not found: {str(key)[:60]}")
    return mapping[found[0]]


def _same(kinds: str, call: Callable[..., Any]) -> dict[tuple[str, ...], Overload]:
    """Overloads whose operands and result have one type."""
    return {(kind, kind): Overload(call, kind) for kind in kinds.split()}


def _unary(result: str, call: Callable[..., Any], kinds: str) -> dict[tuple[str, ...], Overload]:
    return {(kind,): Overload(call, result) for kind in kinds.split()}


def _checked(call: Callable[[int, int], int]) -> dict[tuple[str, ...], Overload]:
    """The integer overloads of an operator."""
    return {
        ("int", "int"): Overload(lambda a, b: _int(call(a, b)), "int"),
        ("uint", "uint"): Overload(lambda a, b: _uint(call(a, b)), "uint"),
    }


def _identity(value: Any) -> Any:
    return value


_TEXT_AND_TEXT = ("string", "string")

OVERLOADS: Mapping[str, Mapping[tuple[str, ...], Overload]] = {
    "_+_": {
        **_checked(operator.add),
        **_same("double string bytes list", operator.add),
        ("timestamp", "duration"): Overload(_clock.shift, "timestamp"),
        ("duration", "timestamp"): Overload(_clock.shift, "timestamp"),
        ("duration", "duration"): Overload(lambda a, b: _int(a + b), "duration"),
    },
    "_-_": {
        **_checked(operator.sub),
        **_same("double", operator.sub),
        ("timestamp", "duration"): Overload(lambda time, by: _clock.shift(time, -by), "timestamp"),
        ("timestamp", "timestamp"): Overload(lambda a, b: _int(a - b), "duration"),
        ("duration", "duration"): Overload(lambda a, b: _int(a - b), "duration"),
    },
    "_*_": {**_checked(operator.mul), **_same("double", operator.mul)},
    "_/_": {
        ("int", "int"): Overload(_divide_int, "int"),
        ("uint", "uint"): Overload(_divide_int, "uint"),
        ("double", "double"): Overload(_divide_double, "double"),
    },
    "_%_": {("int", "int"): Overload(_remainder_int, "int"), ("uint", "uint"): Overload(_remainder_int, "uint")},
    "-_": {("int",): Overload(lambda value: _int(-value), "int"), ("double",): Overload(operator.neg, "double")},
    "_[_]": {
        **{("list", kind): Overload(_index_list, "dyn") for kind in ("int", "uint", "double")},
        **{("map", kind): Overload(index_map, "dyn") for kind in ("int", "uint", "double", "string", "bool")},
    },
    "size": _unary("int", len, "string bytes list map"),
    "contains": {_TEXT_AND_TEXT: Overload(operator.contains, "bool")},
    "startsWith": {_TEXT_AND_TEXT: Overload(str.startswith, "bool")},
    "endsWith": {_TEXT_AND_TEXT: Overload(str.endswith, "bool")},
    "matches": {_TEXT_AND_TEXT: Overload(_matches, "bool")},
    "int": {
        ("int",): Overload(_identity, "int"),
        ("uint",): Overload(lambda value: _int(int(value)), "int"),
        ("double",): Overload(_int_from_double, "int"),
        ("string",): Overload(_int_from_text, "int"),
        ("timestamp",): Overload(_clock.seconds, "int"),
        ("duration",): Overload(_unsupported("int()"), "int"),
    },
    "uint": {
        ("uint",): Overload(_identity, "uint"),
        ("int",): Overload(_uint, "uint"),
        ("double",): Overload(_uint_from_double, "uint"),
        ("string",): Overload(_uint_from_text, "uint"),
    },
    "double": {
        **_unary("double", float, "int uint double"),
        ("string",): Overload(_double_from_text, "double"),
    },
    "string": {
        ("string",): Overload(_identity, "string"),
        ("bool",): Overload(lambda value: "true" if value else "false", "string"),
        ("int",): Overload(str, "string"),
        ("uint",): Overload(lambda value: str(int(value)), "string"),
        ("double",): Overload(_text_from_double, "string"),
        ("bytes",): Overload(_text_from_bytes, "string"),
        ("timestamp",): Overload(_clock.timestamp_text, "string"),
        ("duration",): Overload(_clock.duration_text, "string"),
    },
    "bytes": {("bytes",): Overload(_identity, "bytes"), ("string",): Overload(_bytes_from_text, "bytes")},
    "bool": {("bool",): Overload(_identity, "bool"), ("string",): Overload(_bool_from_text, "bool")},
    "timestamp": {
        ("timestamp",): Overload(_identity, "timestamp"),
        ("string",): Overload(_clock.parse_timestamp, "timestamp"),
        ("int",): Overload(_clock.from_seconds, "timestamp"),
    },
    "duration": {
        ("duration",): Overload(_identity, "duration"),
        ("string",): Overload(_clock.parse_duration, "duration"),
        ("int",): Overload(_unsupported("duration()"), "duration"),
    },
    **{
        name: {
            ("timestamp",): Overload(part, "int"),
            ("timestamp", "string"): Overload(part, "int"),
            **({("duration",): Overload(_clock.DURATION_PARTS[name], "int")} if name in _clock.DURATION_PARTS else {}),
        }
        for name, part in _clock.TIMESTAMP_PARTS.items()
    },
    "map_get": {
        ("map", "string", "string"): Overload(lambda mapping, key, default: mapping.get(key, default), "string")
    },
    "inCidr": {_TEXT_AND_TEXT: Overload(_network.in_cidr, "bool")},
    "isPrivate": {("string",): Overload(_network.is_private, "bool")},
    "lower": {("string",): Overload(_network.ascii_lower, "string")},
    "json": {(kind, "string"): Overload(_paths.json_at, "dyn") for kind in ("string", "bytes")},
    "xml": {(kind, "string"): Overload(_paths.xml_at, "dyn") for kind in ("string", "bytes")},
}
"""By function, then by operand types. Comparison, `in`, logic and type() live in the compiler and in _values."""
