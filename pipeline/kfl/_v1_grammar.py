"""The grammar of KFL v1 (kfl.md §6): text to a small tree, or NotV1.

`and` and `or` have no precedence between them and nest to the right; a chain is kept flat here so that a long one needs
no recursion.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

__all__ = ["Binary", "Chain", "Literal_", "NotV1", "Path", "Step", "Term", "Unary", "parse"]

MAX_DEPTH = 32
"""Nesting of parentheses and unary operators: what the check of the translation takes."""

_TOKEN = re.compile(
    r"""
      (?P<space> \s+ )
    | (?P<regex> [rR]"(?:[^"\\]|\\.)*" | [rR]'(?:[^'\\]|\\.)*' )
    | (?P<string> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' )
    | (?P<number> [0-9]+(?:\.[0-9]+)? )
    | (?P<name> [A-Za-z_][A-Za-z0-9_-]* )
    | (?P<operator> == | != | >= | <= | \.\. | [<>!()\[\].,*-] )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}

MAX_STEPS = 64
"""Parts of a path; the JSON entry is nowhere as deep."""


class NotV1(Exception):
    """The text is not KFL v1."""


class Literal_(Struct, frozen=True):  # noqa: N801 - `Literal` is typing's
    kind: Literal["number", "string", "regex", "bool", "nil"]
    text: str  # decoded; a number as written
    at: int


class Step(Struct, frozen=True):
    """One part of a path after its first name."""

    kind: Literal["name", "index", "key", "any", "call", "deep"]
    text: str = ""
    args: tuple[Term, ...] = ()


class Path(Struct, frozen=True):
    """`name` and steps; a helper such as limit(5) is a name whose first step is a call."""

    name: str
    steps: tuple[Step, ...]
    at: int


class Unary(Struct, frozen=True):
    operator: Literal["!", "-"]
    term: Term
    at: int


class Binary(Struct, frozen=True):
    operator: str
    left: Term
    right: Term
    at: int


class Chain(Struct, frozen=True):
    """terms[0] operators[0] terms[1] …: every operator is "and" or "or"."""

    terms: tuple[Term, ...]
    operators: tuple[str, ...]
    at: int


Term = Literal_ | Path | Unary | Binary | Chain


class _Token(Struct, frozen=True):
    kind: str
    text: str
    at: int


def parse(text: str) -> Term:
    """Return the tree. Raise NotV1."""
    parser = _Parser(_tokens(text))
    term = parser.logical(0)
    parser.expect("end")
    return term


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotV1
        if match.lastgroup != "space":
            found.append(_Token(str(match.lastgroup), match.group(), at))
        at = match.end()
    return [*found, _Token("end", "", len(text))]


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def logical(self, depth: int) -> Term:
        if depth > MAX_DEPTH:
            raise NotV1
        start = self._peek.at
        terms, operators = [self._equality(depth)], []
        while self._peek.kind == "name" and self._peek.text in ("and", "or"):
            operators.append(self._take().text)
            terms.append(self._equality(depth))
        return Chain(tuple(terms), tuple(operators), start) if operators else terms[0]

    def expect(self, text: str) -> _Token:
        if text not in (self._peek.text, self._peek.kind):
            raise NotV1
        return self._take()

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek
        if token.kind != "end":
            self._next += 1
        return token

    def _equality(self, depth: int) -> Term:
        left = self._comparison(depth)
        if self._peek.text in ("==", "!="):
            if depth > MAX_DEPTH:
                raise NotV1
            operator = self._take()
            return Binary(operator.text, left, self._equality(depth + 1), operator.at)
        return left

    def _comparison(self, depth: int) -> Term:
        left = self._unary(depth)
        if self._peek.text in (">=", ">", "<=", "<"):
            if depth > MAX_DEPTH:
                raise NotV1
            operator = self._take()
            return Binary(operator.text, left, self._comparison(depth + 1), operator.at)
        return left

    def _unary(self, depth: int) -> Term:
        if self._peek.text in ("!", "-") and self._peek.kind == "operator":
            if depth > MAX_DEPTH:
                raise NotV1
            operator = self._take()
            sign: Literal["!", "-"] = "!" if operator.text == "!" else "-"
            return Unary(sign, self._unary(depth + 1), operator.at)
        return self._primary(depth)

    def _primary(self, depth: int) -> Term:
        token = self._take()
        match token.kind:
            case "number":
                return Literal_("number", token.text, token.at)
            case "string":
                return Literal_("string", _unescaped(token.text[1:-1]), token.at)
            case "regex":
                return Literal_("regex", token.text[2:-1], token.at)
            case "name" if token.text in ("true", "false"):
                return Literal_("bool", token.text, token.at)
            case "name" if token.text == "nil":
                return Literal_("nil", "", token.at)
            case "name" if token.text not in ("and", "or"):
                return Path(token.text, tuple(self._steps(depth)), token.at)
            case "operator" if token.text == "(":
                inner = self.logical(depth + 1)
                self.expect(")")
                return inner
        raise NotV1

    def _steps(self, depth: int) -> list[Step]:
        steps: list[Step] = []
        while self._peek.text in (".", "..", "[", "("):
            if len(steps) == MAX_STEPS:
                raise NotV1
            match self._take().text:
                case ".":
                    token = self._take()
                    if token.kind == "name":
                        steps.append(Step("name", token.text))
                    elif token.text == "*":
                        steps.append(Step("any"))
                    else:
                        raise NotV1
                case "..":
                    steps.append(Step("deep", self.expect("name").text))
                case "[":
                    token = self._take()
                    if token.kind == "string":
                        steps.append(Step("key", _unescaped(token.text[1:-1])))
                    elif token.kind == "number" and token.text.isdigit():
                        steps.append(Step("index", token.text))
                    elif token.text == "*":
                        steps.append(Step("any"))
                    else:
                        raise NotV1
                    self.expect("]")
                case "(":
                    steps.append(Step("call", args=tuple(self._arguments(depth))))
        return steps

    def _arguments(self, depth: int) -> list[Term]:
        args: list[Term] = []
        while self._peek.text != ")":
            if args:
                self.expect(",")
            args.append(self.logical(depth + 1))
        self.expect(")")
        return args


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)
