"""What a filter tells the index: a predicate over flows that keeps every flow with a matching entry (kfl.md §4.3).

The tree is read once for each kind of entry a flow can have, because flags mean different things there:

1. Messages: `conn`, `flow` and their like are false; a protocol flag narrows to the flows it can lie in.
2. The connection's own entry (TCP and UDP only): protocol flags are false, `tcp_conn` and `udp_conn` say the transport.
3. The flow entry, only if the expression names it: it groups connections, so only what they share may narrow:
   addresses, server port, transport.

What a term says of flows is "keep" (never loses a match) and "exact" (true for every entry of the flows kept, false for
every other, never an error). The whole is exact if every kind is and they agree: then an export need not dissect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Literal

from msgspec import Struct

from kubeshark.core_capture._predicate import And, InNetwork, Not, Or, Overlaps, PortBetween, Predicate, Transport
from kubeshark.pipeline.kfl._ast import Call, Comprehension, Const, ListOf, Local, Node, PluginCall, Var, children, walk
from kubeshark.pipeline.kfl._clock import timestamp_text
from kubeshark.pipeline.kfl._network import PRIVATE_NETWORKS, address, network
from kubeshark.pipeline.kfl._values import EvaluationError
from kubeshark.pipeline.kfl._variables import Variables

__all__ = ["FLOW_FLAGS", "Pushdown", "any_of", "named", "push_down"]

EVERYTHING, NOTHING = And(()), Or(())
TCP, UDP = 6, 17
_TRANSPORTS = {"tcp": frozenset({TCP}), "udp": frozenset({UDP}), "sctp": frozenset({132}), "icmp": frozenset({1, 58})}
_TRANSPORT_NAMES = {1: "icmp", TCP: "tcp", UDP: "udp", 58: "icmpv6", 132: "sctp"}
_CONNECTED = Transport(frozenset({TCP, UDP}))  # transports whose flows have an entry of their own
_MAX_PORT = 65_535

MAX_NAMED = 64
"""Connections looked up by name; with more, a scan of the index costs less than a term for each."""

CONN_FLAGS: Mapping[str, frozenset[int]] = {
    "conn": frozenset({TCP, UDP}),
    "tcp_conn": frozenset({TCP}),
    "udp_conn": frozenset({UDP}),
}
FLOW_FLAGS: Mapping[str, frozenset[int]] = {
    "flow": frozenset({TCP, UDP}),
    "tcp_flow": frozenset({TCP}),
    "udp_flow": frozenset({UDP}),
}

Kind = Literal["message", "conn", "flow"]


class Pushdown(Struct, frozen=True):
    """`predicate` over-approximates; with `exact` every packet of the flows it keeps is selected, and no other."""

    predicate: Predicate
    exact: bool
    wants_messages: bool  # message entries can match: streams must be dissected
    wants_conn: bool
    wants_flow: bool
    failure: str = ""  # why every entry would be an evaluation error, and nothing is read at all

    @property
    def text(self) -> str:
        """The predicate for --explain; "" if it keeps everything."""
        return "" if self.predicate == EVERYTHING else describe(self.predicate)


def _is_of_flow(name: str) -> bool:
    """Say whether a variable asks for flow entries (rule 1)."""
    return name in FLOW_FLAGS or (name.startswith("flow_") and name != "flow_id")


def named(tree: Node, variable: str) -> tuple[str, ...] | None:
    """Return the values of which a matching entry's variable must have one; None if the filter names none.

    For `id` and `stream`, by which the index does not tell flows apart, and which say themselves which flow is meant.
    """
    terms = tree.args if isinstance(tree, Call) and tree.function == "_&&_" else (tree,)
    for term in terms:
        match term:
            case Call("_==_", (Var(name=name), Const(value=str() as text))) if name == variable:
                return (text,)
            case Call("_==_", (Const(value=str() as text), Var(name=name))) if name == variable:
                return (text,)
            case Call("@in", (Var(name=name), ListOf(items=items))) if name == variable:
                texts = tuple(item.value for item in items if isinstance(item, Const) and isinstance(item.value, str))
                return texts if len(texts) == len(items) <= MAX_NAMED else None
    return None


def push_down(
    tree: Node,
    variables: Variables,
    flag_flows: Mapping[str, Predicate],
    constant: Callable[[Node], Any],
) -> Pushdown:
    """Return what the index can answer; `constant` evaluates a subtree without variables or raises EvaluationError."""
    names = {part.name for part in walk(tree) if isinstance(part, Var)}
    has_flags = any(variables[name].section == "flags" or name in flag_flows for name in names)

    def narrowed(kind: Kind) -> _Term:
        return _Narrower(kind, variables, flag_flows, constant).narrow(tree)

    found: dict[Kind, _Term] = {"message": narrowed("message")}
    found["conn"] = narrowed("conn") if has_flags else found["message"]  # only flags tell the two apart
    if any(map(_is_of_flow, names)):
        found["flow"] = narrowed("flow")
    keeps = {kind: term.keep for kind, term in found.items()}
    wanted = {kind for kind, keep in keeps.items() if keep != NOTHING}
    parts = [keeps["message"]]
    parts += [_and([_CONNECTED, keeps[kind]]) for kind in wanted - {"message"} if keeps[kind] != keeps["message"]]
    agreed = len({keeps[kind] for kind in wanted}) <= 1 and all(term.exact for term in found.values())
    return Pushdown(
        predicate=any_of(parts),
        exact=agreed,
        wants_messages="message" in wanted,
        wants_conn="conn" in wanted,
        wants_flow="flow" in wanted,
        failure="" if wanted or agreed else _first_failure(tree, constant),
    )


def _first_failure(node: Node, constant: Callable[[Node], Any]) -> str:
    """Return why the first subtree without variables has no value; "" where each has one."""
    if not isinstance(node, Call) or not _is_constant(node):
        return next(filter(None, (_first_failure(child, constant) for child in children(node))), "")
    try:
        constant(node)
    except EvaluationError as error:
        return str(error)
    return ""


class _Term(Struct, frozen=True):
    keep: Predicate
    exact: bool


_UNKNOWN = _Term(EVERYTHING, exact=False)


class _Narrower:
    def __init__(
        self,
        kind: Kind,
        variables: Variables,
        flag_flows: Mapping[str, Predicate],
        constant: Callable[[Node], Any],
    ) -> None:
        self._kind = kind
        self._variables = variables
        self._flag_flows = flag_flows
        self._constant_of = constant

    def narrow(self, node: Node) -> _Term:
        match node:
            case Call("_&&_", args):
                return _conjunction([self.narrow(arg) for arg in args])
            case Call("_||_", args):
                return _disjunction([self.narrow(arg) for arg in args])
            case Call("!_", (arg,)):
                return _negation(self.narrow(arg))
            case Call("_?_:_", (condition, yes, no)):
                return self._choice(condition, yes, no)
            case Call("_!=_", args):
                return _negation(self.narrow(Call("_==_", args, node.type, node.at)))
            case Var(name=name) if self._variables[name].section == "flags" or name in self._flag_flows:
                return self._flag(name)
            case Call() if (folded := self._fold(node)) is not None:
                return folded
            case Call(function=function, args=args):
                return self._comparison(function, args)
            case Const(value=bool() as value):
                return _known(value)
        return _UNKNOWN

    def _choice(self, condition: Node, yes: Node, no: Node) -> _Term:
        decided = self.narrow(condition)
        return _disjunction(
            [
                _conjunction([decided, self.narrow(yes)]),
                _conjunction([_negation(decided), self.narrow(no)]),
            ]
        )

    def _fold(self, node: Node) -> _Term | None:
        """A subtree without variables has one value, or is an error for every entry: then nothing matches."""
        if not _is_constant(node):
            return None
        try:
            return _known(self._constant_of(node) is True)
        except EvaluationError:
            return _Term(NOTHING, exact=False)

    def _flag(self, name: str) -> _Term:
        own = {"conn": CONN_FLAGS, "flow": FLOW_FLAGS, "message": {}}[self._kind]
        if name in own:
            # All flows that have such an entry are TCP or UDP: both together say nothing.
            return _Term(EVERYTHING if len(own[name]) == len(_CONNECTED.numbers) else Transport(own[name]), exact=True)
        if self._kind != "message" or name in CONN_FLAGS or name in FLOW_FLAGS:
            return _known(False)
        flows = self._flag_flows.get(name)
        if flows is None and name in _TRANSPORTS:
            flows = Transport(_TRANSPORTS[name])
        return _UNKNOWN if flows is None else _Term(flows, exact=False)

    def _comparison(self, function: str, args: Sequence[Node]) -> _Term:
        match function, args:
            case "_==_" | "_<_" | "_<=_" | "_>_" | "_>=_", (left, Var() as right) if not isinstance(left, Var):
                return self._comparison(_MIRRORED[function], (right, left))
            case _, (Var(name="timestamp"), other) if self._kind != "flow":
                return self._time(function, other)
            case _, (Var(name="src.port" | "dst.port" as name), other):
                return self._port(function, name, other)
            case _, (Var(name="src.ip" | "dst.ip" as name), *rest):
                return self._address(function, name, rest)
            case "_==_" | "@in", (Var(name="transport"), other):
                return _disjunction([_transport(text) for text in self._strings(function, other)])
            case "_==_", (other, Const(value=bool() as wanted)) if other.type.name == "bool":
                decided = self.narrow(other)
                return decided if wanted else _negation(decided)
        return _UNKNOWN

    def _time(self, function: str, other: Node) -> _Term:
        if not _is_constant(other):
            return _UNKNOWN
        try:
            at = int(self._constant_of(other))
        except EvaluationError:
            return _Term(NOTHING, exact=False)
        spans = {
            "_==_": (at, at),
            "_<_": (None, at - 1),
            "_<=_": (None, at),
            "_>_": (at + 1, None),
            "_>=_": (at, None),
        }
        return _Term(Overlaps(*spans[function]), exact=False) if function in spans else _UNKNOWN

    def _port(self, function: str, name: str, other: Node) -> _Term:
        if self._kind == "flow" and name == "src.port":
            return _UNKNOWN
        if function == "@in":
            if not isinstance(other, ListOf):
                return _UNKNOWN
            return _disjunction([self._port("_==_", name, item) for item in other.items])
        if not isinstance(other, Const) or type(other.value) is not int:
            return _UNKNOWN
        port = other.value
        spans = {
            "_==_": (port, port),
            "_<_": (0, port - 1),
            "_<=_": (0, port),
            "_>_": (port + 1, _MAX_PORT),
            "_>=_": (port, _MAX_PORT),
        }
        low, high = spans.get(function, (0, _MAX_PORT))
        low, high = max(low, 0), min(high, _MAX_PORT)
        if function not in spans:
            return _UNKNOWN
        if (low, high) == (0, _MAX_PORT) or low > high:
            return _known(low <= high)
        return _Term(PortBetween(_side(name), low, high), exact=True)

    def _address(self, function: str, name: str, rest: Sequence[Node]) -> _Term:
        match function, rest:
            case "_==_" | "@in", (other,):
                return _disjunction([_one_address(_side(name), text) for text in self._strings(function, other)])
            case "inCidr", (Const(value=str() as text),):
                return _Term(InNetwork(_side(name), network(text)), exact=True)
            case "isPrivate", ():
                return _Term(any_of([InNetwork(_side(name), within) for within in PRIVATE_NETWORKS]), exact=True)
        return _UNKNOWN

    def _strings(self, function: str, other: Node) -> list[str | None]:
        """The literals a variable is compared with; None for what is no literal."""
        items = other.items if function == "@in" and isinstance(other, ListOf) else (other,)
        return [item.value if isinstance(item, Const) and isinstance(item.value, str) else None for item in items]


_MIRRORED = {"_==_": "_==_", "_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}


def _side(name: str) -> Literal["src", "dst"]:
    return "src" if name.startswith("src") else "dst"


def _is_constant(node: Node) -> bool:
    for part in walk(node):
        if isinstance(part, (Var, Local, PluginCall, Comprehension)):
            return False
        if isinstance(part, Call) and part.function == "field":
            return False
    return True


def _known(value: bool) -> _Term:
    return _Term(EVERYTHING if value else NOTHING, exact=True)


def _transport(text: str | None) -> _Term:
    if text is None or text not in _TRANSPORTS:
        return _UNKNOWN
    return _Term(Transport(_TRANSPORTS[text]), exact=True)


def _one_address(side: Literal["src", "dst"], text: str | None) -> _Term:
    """`src.ip == text`, where src.ip is canonical text."""
    if text is None:
        return _UNKNOWN
    found = address(text)
    if found is None:
        return _known(False)
    mapped = found.version == 6 and getattr(found, "ipv4_mapped", None) is not None
    if "%" in text:
        return _known(False)
    # A mapped address has two usual texts, and another spelling never equals the canonical one: keep, let the
    # residue decide.
    return _Term(InNetwork(side, ip_network(found)), exact=str(found) == text and not mapped)


def _conjunction(terms: Sequence[_Term]) -> _Term:
    if len(terms) == 1:
        return terms[0]
    if any(term == _known(False) for term in terms):
        return _known(False)  # false absorbs errors
    return _Term(_and([term.keep for term in terms]), all(term.exact for term in terms))


def _disjunction(terms: Sequence[_Term]) -> _Term:
    if len(terms) == 1:
        return terms[0]
    if any(term == _known(True) for term in terms):
        return _known(True)
    return _Term(any_of([term.keep for term in terms]), all(term.exact for term in terms))


def _negation(term: _Term) -> _Term:
    if not term.exact:
        return _UNKNOWN
    match term.keep:
        case And(()):
            return _known(False)
        case Or(()):
            return _known(True)
        case Not(inner):
            return _Term(inner, exact=True)
    return _Term(Not(term.keep), exact=True)


def _and(parts: Sequence[Predicate]) -> Predicate:
    flat = [term for part in parts for term in (part.terms if isinstance(part, And) else (part,))]
    if NOTHING in flat:
        return NOTHING
    return _merged(flat, And, frozenset.intersection)


def any_of(parts: Sequence[Predicate]) -> Predicate:
    """Return what lets through whatever one of these does."""
    flat = [term for part in parts for term in (part.terms if isinstance(part, Or) else (part,))]
    if EVERYTHING in flat:
        return EVERYTHING
    return _merged(flat, Or, frozenset.union)


def _merged(
    terms: Sequence[Predicate],
    join: type[And] | type[Or],
    numbers: Callable[..., frozenset[int]],
) -> Predicate:
    """Join terms, each once; transports become one term, where the first of them was."""
    transports = [term for term in terms if isinstance(term, Transport)]
    if transports:
        merged = Transport(numbers(*(term.numbers for term in transports)))
        terms = [merged if isinstance(term, Transport) else term for term in terms]
    distinct = tuple(dict.fromkeys(terms))
    return distinct[0] if len(distinct) == 1 else join(distinct)


def describe(predicate: Predicate) -> str:
    """Return a predicate as one readable line."""
    match predicate:
        case And(terms):
            return " and ".join(map(_grouped, terms)) or "everything"
        case Or(terms):
            return " or ".join(map(_grouped, terms)) or "nothing"
        case Not(term):
            return f"not {_grouped(term)}"
        case InNetwork(side, within):
            return f"{side} in {within}"
        case PortBetween(side, low, high):
            return f"{side} port {low}" if low == high else f"{side} port {low}-{high}"
        case Transport(numbers):
            return "transport " + ("/".join(_TRANSPORT_NAMES.get(n, str(n)) for n in sorted(numbers)) or "none")
        case Overlaps(start, end):
            bounds = [f"from {timestamp_text(start)}"] if start is not None else []
            return " ".join([*bounds, *([f"until {timestamp_text(end)}"] if end is not None else [])])
    return "carrier"


def _grouped(predicate: Predicate) -> str:
    is_group = isinstance(predicate, (And, Or)) and len(predicate.terms) > 1
    return f"({describe(predicate)})" if is_group else describe(predicate)
