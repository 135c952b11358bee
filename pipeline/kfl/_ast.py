"""The typed tree of a checked KFL expression.

Everything behind the checker works on these few classes: the closure compiler, the push-down and --explain. `at` is
the code point offset in the checked text. Macros of CEL (exists, all, …) are one node again, not their expansion.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct

__all__ = [
    "BOOL",
    "BYTES",
    "DOUBLE",
    "DURATION",
    "DYN",
    "INT",
    "NULL",
    "STRING",
    "TIMESTAMP",
    "TYPE",
    "UINT",
    "Call",
    "Comprehension",
    "Const",
    "FilterCall",
    "ListOf",
    "Local",
    "MapOf",
    "Member",
    "Node",
    "PluginCall",
    "Type",
    "TypeName",
    "Var",
    "children",
    "walk",
]


class Type(Struct, frozen=True):
    """A CEL type: `name` as CEL writes it, `of` the element (list) or key and value (map) types."""

    name: str
    of: tuple[Type, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.of))})" if self.of else self.name


BOOL, INT, UINT, DOUBLE = Type("bool"), Type("int"), Type("uint"), Type("double")
STRING, BYTES, NULL, DYN, TYPE = Type("string"), Type("bytes"), Type("null_type"), Type("dyn"), Type("type")
TIMESTAMP, DURATION = Type("timestamp"), Type("duration")


class Const(Struct, frozen=True):
    value: Any  # str, int, float, bool, bytes, None
    type: Type
    at: int


class TypeName(Struct, frozen=True):
    """A type used as a value: `type(x) == int`."""

    name: str
    type: Type
    at: int


class Var(Struct, frozen=True):
    name: str
    type: Type
    at: int


class Local(Struct, frozen=True):
    """The variable of an enclosing comprehension."""

    name: str
    type: Type
    at: int


class Call(Struct, frozen=True):
    """An operator or function; `args` begins with the receiver of a method. `&&` and `||` may have more than two."""

    function: str
    args: tuple[Node, ...]
    type: Type
    at: int


class Member(Struct, frozen=True):
    """`map.key`, or with `is_test` has(map.key)."""

    operand: Node
    field: str
    is_test: bool
    type: Type
    at: int


class ListOf(Struct, frozen=True):
    items: tuple[Node, ...]
    type: Type
    at: int


class MapOf(Struct, frozen=True):
    entries: tuple[tuple[Node, Node], ...]
    type: Type
    at: int


class Comprehension(Struct, frozen=True):
    """`over.kind(variable, predicate)`; map has a `transform`, and a predicate only in its three-argument form."""

    kind: Literal["exists", "all", "exists_one", "filter", "map"]
    variable: str
    over: Node
    predicate: Node | None
    transform: Node | None
    type: Type
    at: int


class FilterCall(Struct, frozen=True):
    """A plugin's filter with its literal arguments; equal calls are asked once."""

    name: str
    arguments: tuple[str | int | float | bool, ...]


class PluginCall(Struct, frozen=True):
    call: FilterCall
    type: Type
    at: int


Node = Const | TypeName | Var | Local | Call | Member | ListOf | MapOf | Comprehension | PluginCall


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case Call(args=args):
            return args
        case Member(operand=operand):
            return (operand,)
        case ListOf(items=items):
            return items
        case MapOf(entries=entries):
            return tuple(part for entry in entries for part in entry)
        case Comprehension(over=over, predicate=predicate, transform=transform):
            return tuple(part for part in (over, predicate, transform) if part is not None)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and everything below it."""
    pending = [node]
    while pending:
        here = pending.pop()
        yield here
        pending.extend(children(here))
