"""From CEL's CheckedExpr (protobuf bytes) to our typed tree.

Field numbers: cel-spec, proto/cel/expr/checked.proto and syntax.proto. The standard macros arrive expanded into
comprehensions; their fixed shapes are folded back into one node each.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from typing import Any

from kubeshark.pipeline.kfl import _ast
from kubeshark.pipeline.kfl._ast import (
    Call,
    Comprehension,
    Const,
    FilterCall,
    ListOf,
    Local,
    MapOf,
    Member,
    Node,
    PluginCall,
    TypeName,
    Var,
)
from kubeshark.pipeline.kfl._errors import PlacedError
from kubeshark.pipeline.kfl._wire import WireError, fields, signed, text

__all__ = ["MAX_DEPTH", "MAX_NODES", "read_checked"]

MAX_DEPTH = 64
"""Nesting (rule 10); chains of && and || count once."""

MAX_NODES = 1_000

_ACCUMULATOR = "@result"
_PRIMITIVES = {1: _ast.BOOL, 2: _ast.INT, 3: _ast.UINT, 4: _ast.DOUBLE, 5: _ast.STRING, 6: _ast.BYTES}
_WELL_KNOWN = {1: _ast.DYN, 2: _ast.TIMESTAMP, 3: _ast.DURATION}
_CHAINS = frozenset({"_&&_", "_||_"})


def read_checked(data: bytes, variables: Collection[str], plugins: Mapping[str, str]) -> Node:
    """Return the tree of a serialized checked expression; `plugins` maps CEL's name of a plugin filter to ours.

    Raise PlacedError where a limit is passed or a construct of CEL is not part of KFL.
    """
    envelope = dict(fields(data))
    return _Reader(_bytes(envelope[2]), variables, plugins).root()


class _Reader:
    def __init__(self, checked: bytes, variables: Collection[str], plugins: Mapping[str, str]) -> None:
        self._variables, self._plugins = variables, plugins
        self._types: dict[int, _ast.Type] = {}
        self._names: dict[int, str] = {}  # resolved identifiers
        self._constants: dict[int, bytes] = {}  # identifiers that stand for a constant
        self._positions: dict[int, int] = {}
        self._nodes = 0
        self._expression = b""
        for number, value in fields(checked):
            if number == 2:
                key, reference = _entry(value)
                for inner, part in fields(reference):
                    if inner == 1:
                        self._names[key] = text(part)
                    elif inner == 4:
                        self._constants[key] = _bytes(part)
            elif number == 3:
                key, encoded = _entry(value)
                self._types[key] = _type(encoded)
            elif number == 4:
                self._expression = _bytes(value)
            elif number == 5:
                for inner, part in fields(_bytes(value)):
                    if inner == 4:
                        pair = dict(fields(_bytes(part)))
                        self._positions[signed(pair.get(1, 0))] = signed(pair.get(2, 0))

    def root(self) -> Node:
        return self._node(self._expression, 1, frozenset())

    def _node(self, data: bytes, depth: int, scope: frozenset[str]) -> Node:
        ident, number, body = _expression(data)
        at = self._positions.get(ident, 0)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise PlacedError(f"the filter has more than {MAX_NODES:,} parts", at)
        if depth > MAX_DEPTH:
            raise PlacedError(f"the filter is nested more than {MAX_DEPTH} deep", at)
        kind = self._types.get(ident, _ast.DYN)
        match number:
            case 3:
                return _constant(body, at)
            case 4:
                return self._identifier(ident, text(dict(fields(body))[1]), kind, at, scope)
            case 5:
                return self._select(ident, body, kind, at, depth, scope)
            case 6:
                return self._call(ident, body, kind, at, depth, scope)
            case 7:
                items = tuple(self._node(_bytes(part), depth + 1, scope) for n, part in fields(body) if n == 1)
                return ListOf(items, kind, at)
            case 8:
                return self._map(body, kind, at, depth, scope)
            case 9:
                return self._comprehension(body, kind, at, depth, scope)
        raise WireError(f"expression kind {number}")

    def _identifier(self, ident: int, name: str, kind: _ast.Type, at: int, scope: frozenset[str]) -> Node:
        if ident in self._constants:
            return _constant(self._constants[ident], at)
        if name in scope:
            return Local(name, kind, at)
        name = self._names.get(ident, name).removeprefix(".")
        if name in self._variables:
            return Var(name, kind, at)
        return TypeName(name, kind, at)

    def _select(self, ident: int, body: bytes, kind: _ast.Type, at: int, depth: int, scope: frozenset[str]) -> Node:
        parts = dict(fields(body))
        if ident in self._names:  # a dotted name that the checker left as a selection
            return self._identifier(ident, self._names[ident], kind, at, frozenset())
        operand = self._node(_bytes(parts[1]), depth + 1, scope)
        return Member(operand, text(parts[2]), bool(parts.get(3, 0)), kind, at)

    def _call(self, ident: int, body: bytes, kind: _ast.Type, at: int, depth: int, scope: frozenset[str]) -> Node:
        function, target, args = _call_parts(body)
        function = self._names.get(ident, function)
        if function in _CHAINS:
            return Call(function, tuple(self._chain(function, body, depth, scope)), kind, at)
        if target is not None and "." not in function:
            args.insert(0, target)
        nodes = tuple(self._node(arg, depth + 1, scope) for arg in args)
        if function in self._plugins:
            return _plugin_call(self._plugins[function], nodes, at)
        return Call(function, nodes, kind, at)

    def _chain(self, function: str, body: bytes, depth: int, scope: frozenset[str]) -> list[Node]:
        """Flatten `a && b && c`, which CEL balances into a tree, without recursion."""
        terms: list[Node] = []
        pending = _call_parts(body)[2][::-1]
        while pending:
            data = pending.pop()
            _, number, inner = _expression(data)
            if number == 6:
                name, _, args = _call_parts(inner)
                if name == function:
                    pending.extend(args[::-1])
                    continue
            terms.append(self._node(data, depth + 1, scope))
        return terms

    def _map(self, body: bytes, kind: _ast.Type, at: int, depth: int, scope: frozenset[str]) -> Node:
        entries = []
        for number, value in fields(body):
            if number == 1:
                raise PlacedError(f"KFL has no messages: {text(value)}{{…}}", at)
            parts = dict(fields(_bytes(value)))
            key = self._node(_bytes(parts[3]), depth + 1, scope)
            entries.append((key, self._node(_bytes(parts[4]), depth + 1, scope)))
        return MapOf(tuple(entries), kind, at)

    def _comprehension(self, body: bytes, kind: _ast.Type, at: int, depth: int, scope: frozenset[str]) -> Node:
        parts = dict(fields(body))
        variable = text(parts[1])
        over = self._node(_bytes(parts[2]), depth + 1, scope)
        inner = scope | {variable}

        def node(data: bytes) -> Node:
            return self._node(data, depth + 1, inner)

        start, step = _expression(_bytes(parts[4])), _expression(_bytes(parts[6]))
        function, _, args = _call_parts(step[2])
        if start[1] == 3 and function in _CHAINS:
            name = "exists" if function == "_||_" else "all"
            return Comprehension(name, variable, over, node(args[1]), None, kind, at)  # type: ignore[arg-type]
        predicate: bytes | None = None
        if function == "_?_:_":
            predicate, taken = args[0], args[1]
            function, _, args = _call_parts(_expression(taken)[2])
        if start[1] == 3 and predicate is not None:
            return Comprehension("exists_one", variable, over, node(predicate), None, kind, at)
        # The step appends a list of one element to the accumulator.
        appended = next(part for number, part in fields(_expression(args[1])[2]) if number == 1)
        transform = node(_bytes(appended))
        chosen = None if predicate is None else node(predicate)
        if chosen is not None and isinstance(transform, Local) and transform.name == variable:
            return Comprehension("filter", variable, over, chosen, None, kind, at)
        return Comprehension("map", variable, over, chosen, transform, kind, at)


def _plugin_call(name: str, args: tuple[Node, ...], at: int) -> PluginCall:
    values = []
    for arg in args:
        if not isinstance(arg, Const):
            raise PlacedError(f"arguments of the plugin filter {name} must be literals", arg.at)
        values.append(arg.value)
    return PluginCall(FilterCall(name, tuple(values)), _ast.BOOL, at)


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise WireError("a message was expected")
    return value


def _entry(value: int | bytes) -> tuple[int, bytes]:
    """Split a map entry with an integer key."""
    parts = dict(fields(_bytes(value)))
    return signed(parts.get(1, 0)), _bytes(parts.get(2, b""))


def _expression(data: bytes) -> tuple[int, int, bytes]:
    """Return (id, field number of its kind, body)."""
    ident, number, body = 0, 0, b""
    for field, value in fields(data):
        if field == 2:
            ident = signed(value)
        else:
            number, body = field, _bytes(value)
    return ident, number, body


def _call_parts(body: bytes) -> tuple[str, bytes | None, list[bytes]]:
    function, target, args = "", None, []
    for number, value in fields(body):
        if number == 1:
            target = _bytes(value)
        elif number == 2:
            function = text(value)
        elif number == 3:
            args.append(_bytes(value))
    return function, target, args


def _constant(body: bytes, at: int) -> Const:
    for number, value in fields(body):
        result: Any
        match number:
            case 1:
                return Const(None, _ast.NULL, at)
            case 2:
                return Const(bool(value), _ast.BOOL, at)
            case 3:
                return Const(signed(value), _ast.INT, at)
            case 4:
                return Const(value, _ast.UINT, at)
            case 5:
                (result,) = struct.unpack("<d", _bytes(value))
                return Const(result, _ast.DOUBLE, at)
            case 6:
                return Const(text(value), _ast.STRING, at)
            case 7:
                return Const(_bytes(value), _ast.BYTES, at)
    raise WireError("constant without a value")


def _type(data: bytes) -> _ast.Type:
    for number, value in fields(data):
        match number:
            case 2:
                return _ast.NULL
            case 3:
                return _PRIMITIVES[signed(value)]
            case 5:
                return _WELL_KNOWN[signed(value)]
            case 6:
                return _ast.Type("list", tuple(_type(_bytes(part)) for _, part in fields(_bytes(value))) or (_ast.DYN,))
            case 7:
                key_and_value = tuple(_type(_bytes(part)) for _, part in fields(_bytes(value)))
                return _ast.Type("map", key_and_value if len(key_and_value) == 2 else (_ast.DYN, _ast.DYN))
            case 11:
                return _ast.TYPE
    return _ast.DYN
