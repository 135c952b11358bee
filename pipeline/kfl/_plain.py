"""The usual filters without CEL: variables against literals, joined by `&&`, `||`, `!` and parentheses.

The tree is CEL's own (tests/pipeline/kfl/test_plain.py holds the two together), except that a chain's place is its
first operator's. Whatever is not plainly right here is left to CEL, errors above all, because it words them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubeshark.pipeline.kfl import _ast
from kubeshark.pipeline.kfl._ast import Call, Const, Node, Var
from kubeshark.pipeline.kfl._pushdown import Pushdown, push_down
from kubeshark.pipeline.kfl._signatures import TYPES
from kubeshark.pipeline.kfl._values import EvaluationError
from kubeshark.pipeline.kfl._variables import VARIABLES, Variables

__all__ = ["plain_pushdown", "plain_tree"]

MAX_LENGTH = 2048
MAX_DEPTH = 8  # of parentheses; CEL's own limit is 32

_TOKEN = re.compile(
    r"""
      [ \t\r\n\f]*
      (?: (?P<name> [A-Za-z_][A-Za-z0-9_]* (?: \.[A-Za-z_][A-Za-z0-9_]* )* )
        | (?P<int> -? (?: 0 | [1-9][0-9]{0,17} ) (?![A-Za-z0-9_.]) )
        | (?P<string> "[ !\#-\[\]-~]*" | '[ -&(-\[\]-~]*' )
        | (?P<operator> && | \|\| | [=!<>]= | [<>!()] )
        | (?P<end> \Z ) )
    """,
    re.VERBOSE,
)
_COMPARISONS = {operator: f"_{operator}_" for operator in ("==", "!=", "<", "<=", ">", ">=")}
_METHODS = frozenset({"startsWith", "endsWith", "contains", "inCidr"})  # of a string, with a string, giving a bool

_Token = tuple[str, str, int]  # kind, text, offset


def plain_tree(text: str, variables: Variables) -> Node | None:
    """Return the typed tree of a filter; None for one that CEL has to read."""
    if len(text) > MAX_LENGTH:
        return None
    try:
        return _Parser(text, variables).whole()
    except _NotPlain:
        return None


def plain_pushdown(text: str) -> Pushdown | None:
    """Return what the index can answer of a plain filter on the built-in variables; None for any other, or a wrong one.

    The same as `compile_filter(text).pushdown`, at a tenth of its cost: CEL is not asked, nothing is compiled.
    """
    tree = plain_tree(text, VARIABLES)
    try:
        return push_down(tree, VARIABLES, {}, _no_constants) if tree is not None else None
    except EvaluationError:
        return None


def _no_constants(node: Node) -> Any:
    raise AssertionError(f"a plain filter has no constant subtree: {node}")


class _NotPlain(Exception):
    """Something that is not read here."""


def _tokens(text: str) -> Iterator[_Token]:
    at, kind = 0, ""
    while kind != "end":
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise _NotPlain
        kind, at = found.lastgroup, found.end()
        yield kind, found[kind], found.start(kind)


class _Parser:
    """Recursive descent, one token ahead. Strings keep their quotes, so that a token's text alone tells what it is."""

    def __init__(self, text: str, variables: Variables) -> None:
        self._rest = _tokens(text)
        self._variables = variables
        self._depth = 0
        self._kind, self._text, self._at = next(self._rest)

    def whole(self) -> Node:
        tree = self._disjunction()
        if self._kind != "end":
            raise _NotPlain
        return tree

    def _disjunction(self) -> Node:
        places, terms = [], [self._conjunction()]
        while self._text == "||":
            places.append(self._take("operator")[1])
            terms.append(self._conjunction())
        return _joined("_||_", terms, places)

    def _conjunction(self) -> Node:
        places, terms = [], [self._operand()]
        while self._text == "&&":
            places.append(self._take("operator")[1])
            terms.append(self._operand())
        return _joined("_&&_", terms, places)

    def _operand(self) -> Node:
        if self._text == "!":
            place = self._take("operator")[1]
            if self._text == "!":  # CEL drops the two
                raise _NotPlain
            is_group, operand = self._text == "(", self._operand()
            if not is_group and isinstance(operand, Call) and operand.function in _COMPARISONS.values():
                raise _NotPlain  # `!a == b` is (!a) == b
            return Call("!_", (operand,), _ast.BOOL, place)
        if self._text == "(":
            return self._group()
        text, at = self._take("name")
        if self._text == "(":
            return self._call(text, at)
        variable = self._variable(text, at)
        if self._text in _COMPARISONS:
            return self._comparison(variable)
        if variable.type != _ast.BOOL:
            raise _NotPlain
        return variable

    def _group(self) -> Node:
        self._take("operator")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _NotPlain
        inner = self._disjunction()
        if self._text != ")":
            raise _NotPlain
        self._take("operator")
        self._depth -= 1
        return inner

    def _comparison(self, variable: Var) -> Node:
        operator, place = self._take("operator")
        if variable.type == _ast.STRING:
            literal = self._string()
        elif variable.type == _ast.INT:
            text, at = self._take("int")
            literal = Const(int(text), _ast.INT, at)
        else:
            raise _NotPlain
        return Call(_COMPARISONS[operator], (variable, literal), _ast.BOOL, place)

    def _call(self, text: str, at: int) -> Node:
        name, _, method = text.rpartition(".")
        receiver = self._variable(name, at)
        if receiver.type != _ast.STRING or method not in _METHODS:
            raise _NotPlain
        place = self._take("operator")[1]
        literal = self._string()
        if self._text != ")":
            raise _NotPlain
        self._take("operator")
        return Call(method, (receiver, literal), _ast.BOOL, place)

    def _string(self) -> Const:
        text, at = self._take("string")
        return Const(text[1:-1], _ast.STRING, at)

    def _variable(self, name: str, at: int) -> Var:
        if name not in self._variables:
            raise _NotPlain
        return Var(name, TYPES[self._variables[name].type], at + name.rfind(".") if "." in name else at)

    def _take(self, kind: str) -> tuple[str, int]:
        """Return the next token's text and place, and go on; it must be of a kind."""
        if kind != self._kind:
            raise _NotPlain
        text, at = self._text, self._at
        self._kind, self._text, self._at = next(self._rest)
        return text, at


def _joined(function: str, terms: list[Node], places: list[int]) -> Node:
    """Return a chain without the parentheses around links of its own kind; one operand stays what it is."""
    if len(terms) == 1:
        return terms[0]
    links: list[Node] = []
    for term in terms:
        links += term.args if isinstance(term, Call) and term.function == function else (term,)
    return Call(function, tuple(links), _ast.BOOL, places[0])
