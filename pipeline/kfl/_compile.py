"""From the typed tree to Python closures: `Callable[[Variables], value]`.

1. Results and errors are CEL's (kfl.md rule 5): && and || absorb errors on either side, everything else passes them on.
2. Operands of && and || run cheapest first; rule 5 makes their order invisible.
3. What is static is decided once: overloads by type, literal patterns, networks, paths and lists.
4. Comprehension variables and answers of plugin filters are further keys of the mapping: closures hold no state, so one
   compiled filter serves any number of threads.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

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
from kubeshark.pipeline.kfl._cost import cost
from kubeshark.pipeline.kfl._errors import PlacedError
from kubeshark.pipeline.kfl._functions import OVERLOADS, index_map
from kubeshark.pipeline.kfl._network import ascii_lower, in_network, network
from kubeshark.pipeline.kfl._paths import json_at, lookup, parse_path
from kubeshark.pipeline.kfl._regex import PatternError, searcher
from kubeshark.pipeline.kfl._values import (
    EvaluationError,
    Timestamp,
    TypeValue,
    Undecided,
    boxer,
    equal,
    find_key,
    kind_of,
    less,
    no_overload,
    type_of,
)
from kubeshark.pipeline.kfl._variables import FOLDED_MAPS, Variables

__all__ = ["ENTRY", "Closure", "Compiler", "Row"]


class Row(Protocol):
    """What closures read: a mapping of variables, perhaps with a loop variable or plugin answers laid over it."""

    def __getitem__(self, key: Any, /) -> Any: ...


Closure = Callable[[Row], Any]

ENTRY = "@entry"
"""Key under which a row gives the whole JSON entry, for field()."""

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "_<_": operator.lt,
    "_<=_": operator.le,
    "_>_": operator.gt,
    "_>=_": operator.ge,
}
_DYNAMIC_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "_<_": less,
    "_<=_": lambda a, b: less(a, b) or equal(a, b),
    "_>_": lambda a, b: less(b, a),
    "_>=_": lambda a, b: less(b, a) or equal(a, b),
}
_ATOMS = frozenset({"bool", "int", "uint", "string", "bytes", "timestamp", "duration", "double"})


class Compiler:
    """Compiles nodes of one filter. A row gives a plugin filter's answer under its FilterCall."""

    def __init__(self, variables: Variables, now_ns: int) -> None:
        self._variables = variables
        self._now = Timestamp(now_ns)

    def closure(self, node: Node) -> Closure:
        """Return the closure of a node; its value is plain, see `_boxed`."""
        match node:
            case Const(value=value):
                return _always(value)
            case TypeName(name=name):
                return _always(TypeValue(name))
            case Var(name=name):
                return operator.itemgetter(name)
            case Local(name=name):
                return operator.itemgetter(f"@{name}")
            case Member():
                return self._member(node)
            case ListOf(items=items):
                parts = [self._boxed(item) for item in items]
                return lambda row: [part(row) for part in parts]
            case MapOf():
                return self._map(node)
            case Comprehension():
                return self._comprehension(node)
            case PluginCall(call=call):
                return _plugin_answer(call)
            case Call():
                return self._call(node)

    def condition(self, node: Node) -> Closure:
        """Return a closure that gives a bool or raises EvaluationError, also for a dyn operand."""
        inner = self.closure(node)
        if node.type == _ast.BOOL:
            return inner

        def checked(row: Row) -> Any:
            value = inner(row)
            if type(value) is not bool:
                raise no_overload("a condition", value)
            return value

        return checked

    def conjunction(self, nodes: Sequence[Node]) -> Closure:
        return _all([self.condition(node) for node in self._cheap_first(nodes)])

    def _cheap_first(self, nodes: Sequence[Node]) -> list[Node]:
        return sorted(nodes, key=lambda node: cost(node, self._variables))

    def _boxed(self, node: Node) -> Closure:
        """Return a closure whose value shows its CEL type, for places that take dyn."""
        inner, box = self.closure(node), boxer(node.type.name)
        return inner if box is None else lambda row: box(inner(row))

    def _call(self, node: Call) -> Closure:
        name, args = node.function, node.args
        match name:
            case "_&&_":
                return self.conjunction(args)
            case "_||_":
                return _any([self.condition(arg) for arg in self._cheap_first(args)])
            case "!_":
                inner = self.condition(args[0])
                return lambda row: not inner(row)
            case "_?_:_":
                return self._choice(node)
            case "_==_":
                return self._equality(args)
            case "_!=_":
                same = self._equality(args)
                return lambda row: not same(row)
            case "_<_" | "_<=_" | "_>_" | "_>=_":
                return self._comparison(name, args)
            case "@in":
                return self._membership(args)
            case "dyn":
                return self._boxed(args[0])
            case "type":
                inner = self._boxed(args[0])
                return lambda row: type_of(inner(row))
            case "now":
                return _always(self._now)
            case "field":
                return self._field(args)
        special = self._with_literal(node)
        return special or self._overloaded(node)

    def _overloaded(self, node: Call) -> Closure:
        overloads = OVERLOADS[node.function]
        kinds = tuple(arg.type.name for arg in node.args)
        if kinds in overloads and "dyn" not in kinds:
            return _applied(overloads[kinds].call, [self.closure(arg) for arg in node.args])
        name = node.function.strip("_")

        def dispatch(*values: Any) -> Any:
            overload = overloads.get(tuple(map(kind_of, values)))
            if overload is None:
                raise no_overload(name, *values)
            result, box = overload.call(*values), boxer(overload.result)
            return result if box is None else box(result)

        return _applied(dispatch, [self._boxed(arg) for arg in node.args])

    def _with_literal(self, node: Call) -> Closure | None:
        """Calls whose last argument is a literal worth preparing. Raise PlacedError where it can never work."""
        if not node.args:
            return None
        args = tuple(_folded(node.args, at, arg) for at, arg in enumerate(node.args))
        literal = args[-1]
        prepare = _PREPARED.get((node.function, len(args), args[0].type.name))
        if node.function in ("map_get", "_[_]") and args != node.args:
            return self._overloaded(Call(node.function, args, node.type, node.at))
        if prepare is None or not isinstance(literal, Const) or type(literal.value) is not str:
            return None
        try:
            ready = prepare(literal.value)
        except (EvaluationError, PatternError) as error:
            raise PlacedError(str(error), literal.at) from None
        if len(args) == 1:
            return _always(ready)
        return _applied(ready, [self.closure(args[0])])

    def _choice(self, node: Call) -> Closure:
        condition = self.condition(node.args[0])
        make = self._boxed if node.type == _ast.DYN else self.closure
        yes, no = make(node.args[1]), make(node.args[2])
        return lambda row: yes(row) if condition(row) else no(row)

    def _equality(self, args: Sequence[Node]) -> Closure:
        left, right = args
        if left.type == right.type and left.type.name in _ATOMS:
            return _binary(operator.eq, self, left, right)
        return _applied(equal, [self._boxed(left), self._boxed(right)])

    def _comparison(self, name: str, args: Sequence[Node]) -> Closure:
        left, right = args
        if left.type == right.type and left.type.name in _ATOMS:
            return _binary(_COMPARISONS[name], self, left, right)
        return _applied(_DYNAMIC_COMPARISONS[name], [self._boxed(left), self._boxed(right)])

    def _membership(self, args: Sequence[Node]) -> Closure:
        item, container = _folded(args, 0, args[0]), args[1]
        if isinstance(container, ListOf) and item.type.name in ("string", "int"):
            literals = [part.value for part in container.items if isinstance(part, Const) and part.type == item.type]
            if len(literals) == len(container.items):
                values, value = frozenset(literals), self.closure(item)
                return lambda row: value(row) in values
        strings = _ast.Type("list", (_ast.STRING,))
        if (container.type == strings or container.type.name == "map") and item.type == _ast.STRING:
            return _binary(lambda value, within: value in within, self, item, container)
        return _applied(_contains, [self._boxed(item), self._boxed(container)])

    def _member(self, node: Member) -> Closure:
        operand = self.closure(node.operand)
        is_folded = isinstance(node.operand, Var) and node.operand.name in FOLDED_MAPS
        key = ascii_lower(node.field) if is_folded else node.field
        is_test = node.is_test

        def member(row: Row) -> Any:
            value = operand(row)
            if type(value) is not dict:
                raise no_overload(f".{key}", value)
            return key in value if is_test else index_map(value, key)

        return member

    def _map(self, node: MapOf) -> Closure:
        entries = [(self._boxed(key), self._boxed(value)) for key, value in node.entries]

        def build(row: Row) -> dict[Any, Any]:
            made: dict[Any, Any] = {}
            for key_of, value_of in entries:
                key = key_of(row)
                if kind_of(key) not in ("bool", "int", "uint", "string"):
                    raise no_overload("a map key", key)
                if key in made:
                    raise EvaluationError(f"key twice in a map: {str(key)[:60]}")
                made[key] = value_of(row)
            return made

        return build

    def _field(self, args: Sequence[Node]) -> Closure:
        literal = args[0]
        if isinstance(literal, Const):
            try:
                path = parse_path(literal.value)
            except EvaluationError as error:
                raise PlacedError(str(error), literal.at) from None
            return lambda row: lookup(row[ENTRY], path)
        path_of = self.closure(literal)
        return lambda row: lookup(row[ENTRY], parse_path(path_of(row)))

    def _comprehension(self, node: Comprehension) -> Closure:
        over, key = self._items(node.over), f"@{node.variable}"
        predicate = None if node.predicate is None else self.condition(node.predicate)
        transform = None if node.transform is None else self._boxed(node.transform)
        if predicate is None:
            assert transform is not None
            return lambda row: [transform(scope) for scope in _scopes(row, key, over(row))]
        match node.kind:
            case "exists":
                return lambda row: _first(predicate, _scopes(row, key, over(row)), True)
            case "all":
                return lambda row: _first(predicate, _scopes(row, key, over(row)), False)
            case "exists_one":
                return lambda row: sum(predicate(scope) for scope in _scopes(row, key, over(row))) == 1
            case "filter":
                return lambda row: [scope[key] for scope in _scopes(row, key, over(row)) if predicate(scope)]
            case "map":
                assert transform is not None
                return lambda row: [transform(scope) for scope in _scopes(row, key, over(row)) if predicate(scope)]

    def _items(self, node: Node) -> Closure:
        inner = self.closure(node)
        if node.type.name in ("list", "map"):
            return inner

        def checked(row: Row) -> Any:
            value = inner(row)
            if type(value) not in (list, dict):
                raise no_overload("a loop", value)
            return value

        return checked


class _Scope:
    """A row and one more variable; looks like a mapping as far as closures use one."""

    __slots__ = ("_key", "_row", "item")

    def __init__(self, row: Row, key: str) -> None:
        self._row, self._key = row, key
        self.item: Any = None

    def __getitem__(self, key: Any) -> Any:
        return self.item if key == self._key else self._row[key]


def _scopes(row: Row, key: str, items: Any) -> Any:
    """Yield the scope of each item in turn: one object, because predicates keep nothing."""
    scope = _Scope(row, key)
    for scope.item in items:
        yield scope


def _first(predicate: Closure, scopes: Any, wanted: bool) -> bool:
    """exists (wanted True) and all (wanted False): any `wanted` decides, an error only where none does."""
    failed: EvaluationError | None = None
    for scope in scopes:
        try:
            if predicate(scope) == wanted:
                return wanted
        except EvaluationError as error:
            failed = _stronger(failed, error)
    if failed is not None:
        raise failed
    return not wanted


def _stronger(first: EvaluationError | None, second: EvaluationError) -> EvaluationError:
    """Undecided wins over an error: once decided it may absorb it."""
    return second if first is None or (type(second) is Undecided) else first


def _all(terms: Sequence[Closure]) -> Closure:
    if len(terms) == 1:
        return terms[0]

    def conjunction(row: Row) -> bool:
        failed: EvaluationError | None = None
        for term in terms:
            try:
                if not term(row):
                    return False
            except EvaluationError as error:
                failed = _stronger(failed, error)
        if failed is not None:
            raise failed
        return True

    return conjunction


def _any(terms: Sequence[Closure]) -> Closure:
    def disjunction(row: Row) -> bool:
        failed: EvaluationError | None = None
        for term in terms:
            try:
                if term(row):
                    return True
            except EvaluationError as error:
                failed = _stronger(failed, error)
        if failed is not None:
            raise failed
        return False

    return disjunction


def _plugin_answer(call: FilterCall) -> Closure:
    def answer(row: Row) -> bool:
        value = row[call]
        if value is None:
            raise EvaluationError(f"plugin filter {call.name} failed")
        return bool(value)

    return answer


def _always(value: Any) -> Closure:
    return lambda _row: value


def _applied(call: Callable[..., Any], args: Sequence[Closure]) -> Closure:
    if len(args) == 1:
        (only,) = args
        return lambda row: call(only(row))
    if len(args) == 2:
        first, second = args
        return lambda row: call(first(row), second(row))
    return lambda row: call(*[arg(row) for arg in args])


def _binary(compare: Callable[[Any, Any], bool], compiler: Compiler, left: Node, right: Node) -> Closure:
    """An operation on two static operands; the usual `variable op literal` has its own, twice as fast, closure."""
    if isinstance(left, Var) and isinstance(right, Const):
        name, value = left.name, right.value
        return lambda row: compare(row[name], value)
    return _applied(compare, [compiler.closure(left), compiler.closure(right)])


def _folded(args: Sequence[Node], at: int, arg: Node) -> Node:
    """Fold a literal header name that is looked up in a map with lower-case keys (rule 6)."""
    if not isinstance(arg, Const) or type(arg.value) is not str:
        return arg
    is_key = any(isinstance(other, Var) and other.name in FOLDED_MAPS for other in args) and at < 2
    return Const(ascii_lower(arg.value), arg.type, arg.at) if is_key else arg


def _contains(item: Any, container: Any) -> bool:
    match container:
        case list():
            return any(equal(item, other) for other in container)
        case dict() if kind_of(item) in ("bool", "int", "uint", "double", "string"):
            return find_key(container, item) is not None
    raise no_overload("in", item, container)


def _contains_text(part: str) -> Callable[[str], bool]:
    return lambda text: part in text


def _starts_with(part: str) -> Callable[[str], bool]:
    return lambda text: text.startswith(part)


def _ends_with(part: str) -> Callable[[str], bool]:
    return lambda text: text.endswith(part)


def _in_cidr(cidr: str) -> Callable[[str], bool]:
    within = network(cidr)
    return lambda text: in_network(text, within)


def _json(path: str) -> Callable[[str | bytes], Any]:
    parse_path(path)
    return lambda body: json_at(body, path)


def _constant(name: str) -> Callable[[str], Any]:
    return OVERLOADS[name][("string",)].call


_PREPARED: Mapping[tuple[str, int, str], Callable[[str], Any]] = {
    ("contains", 2, "string"): _contains_text,
    ("startsWith", 2, "string"): _starts_with,
    ("endsWith", 2, "string"): _ends_with,
    ("matches", 2, "string"): searcher,
    ("inCidr", 2, "string"): _in_cidr,
    ("json", 2, "string"): _json,
    ("json", 2, "bytes"): _json,
    ("timestamp", 1, "string"): _constant("timestamp"),
    ("duration", 1, "string"): _constant("duration"),
}
"""(function, arguments, type of the first): what makes a closure's callable, or for one argument the value."""
