"""KFL v1 in KFL: what old texts, bookmarks and macros become (kfl.md §6).

1. Only a text that shows something of v1 is translated (`and`, `nil`, a regex literal, a helper, a path of the JSON
   entry): a misspelt KFL text stays an error.
2. The meaning of `request.method` and the like depends on the protocol: that of a flag AND-ed in the text, else HTTP.
3. Where v1 made the whole expression false for a missing path, only that comparison becomes false.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from msgspec import Struct, field

from kubeshark.pipeline.kfl._clock import timestamp_text
from kubeshark.pipeline.kfl._errors import PlacedError
from kubeshark.pipeline.kfl._hints import nearest
from kubeshark.pipeline.kfl._v1_grammar import Binary, Chain, Literal_, NotV1, Path, Step, Term, Unary, parse
from kubeshark.pipeline.kfl._v1_paths import MAPPED, RESOLUTION, Target, field_path, quoted
from kubeshark.pipeline.kfl._variables import Variables

__all__ = ["Translation", "translate"]

_OR, _AND, _UNARY, _ATOM = 1, 2, 3, 4  # how tightly a piece of text binds
_METHODS = frozenset({"startsWith", "endsWith", "contains"})
_SPANS = {"seconds": ("s", 1), "minutes": ("m", 1), "hours": ("h", 1), "days": ("h", 24), "weeks": ("h", 168)}
_HELPERS = frozenset({*_SPANS, "months", "years", "datetime", "limit", "now"})
_DATETIME = re.compile(r"\s*(\d{1,2}/\d{1,2}/\d{4}),\s+(\d{1,2}:\d\d:\d\d)(?:\.(\d{1,9}))?\s+([AaPp][Mm])\s*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_EMPTY: Mapping[str, str] = {
    "string": '""',
    "int": "0",
    "double": "0.0",
    "bool": "false",
    "list": "[]",
    "map": "{}",
    "bytes": 'b""',
    "dyn": "null",
    "timestamp": "timestamp(0)",
}


class Translation(Struct):
    text: str = ""
    notices: list[str] = field(default_factory=list)
    limit: int | None = None  # from limit(n)


class _Piece(Struct, frozen=True):
    text: str
    binds: int = _ATOM

    def within(self, level: int) -> str:
        return self.text if self.binds >= level else f"({self.text})"


_TRUE = _Piece("true")


def translate(text: str, variables: Variables, macros: Collection[str], now_ns: int) -> Translation | None:
    """Return the KFL for a v1 text, None if it is not v1. Raise PlacedError for what v1 had and KFL refuses."""
    try:
        tree = parse(text)
    except NotV1:
        return None
    translator = _Translator(variables, macros, now_ns)
    try:
        piece = translator.condition(tree, frozenset())
    except NotV1:
        return None
    if not translator.is_v1:
        return None
    translator.result.text = "" if piece == _TRUE else piece.text
    return translator.result


class _Translator:
    def __init__(self, variables: Variables, macros: Collection[str], now_ns: int) -> None:
        self._variables = variables
        self._macros = macros
        self._now_ns = now_ns
        self.result = Translation()
        self.is_v1 = False  # something was seen that only v1 has

    def condition(self, term: Term, protocols: frozenset[str]) -> _Piece:
        """Translate a term that is true or false."""
        match term:
            case Chain():
                return self._chain(term, protocols)
            case Binary(operator, left, right):
                return self._comparison(operator, left, right, protocols)
            case Unary("!", inner):
                return _Piece("!" + self.condition(inner, protocols).within(_UNARY), _UNARY)
            case Literal_("bool", text):
                return _Piece(text)
            case Path():
                return self._bare(term, protocols)
        raise NotV1

    def _chain(self, chain: Chain, protocols: frozenset[str]) -> _Piece:
        """Nest to the right; a mixed chain gets the parentheses v1 meant, and a warning."""
        self.is_v1 = True
        is_plain = len(set(chain.operators)) == 1
        flags = {term.name for term in chain.terms if isinstance(term, Path) and self._is_flag(term)}
        pieces: list[_Piece] = []
        active = protocols | flags if is_plain and chain.operators[0] == "and" else protocols
        for at, term in enumerate(chain.terms):
            pieces.append(self.condition(term, active))
            if at < len(chain.operators) and chain.operators[at] == "and" and isinstance(term, Path):
                active |= {term.name} & flags
        result = pieces[-1]
        for operator, piece in zip(reversed(chain.operators), reversed(pieces[:-1]), strict=True):
            result = _joined(operator, piece, result)
        if not is_plain:
            self.result.notices.append(
                "and and or were mixed without parentheses: the old language nests them to the right, see the"
                " parentheses in the translation"
            )
        return result

    def _is_flag(self, path: Path) -> bool:
        known = self._variables.get(path.name)
        return not path.steps and known is not None and known.section == "flags"

    def _bare(self, path: Path, protocols: frozenset[str]) -> _Piece:
        if _is_helper(path):
            return self._helper(path)
        if not path.steps and path.name in self._macros:
            return _Piece(path.name)
        if path.steps and path.steps[-1].kind == "call":
            return self._method(path, protocols)
        target = self._target(path, protocols)
        if target.type == "bool":
            return target_piece(target, "{}")
        if target.type == "dyn":
            return target_piece(target, "{} != null")
        return target_piece(target, f"{{}} != {_EMPTY[target.type]}")

    def _helper(self, path: Path) -> _Piece:
        args = path.steps[0].args
        if path.name == "limit" and len(path.steps) == 1 and len(args) == 1 and isinstance(args[0], Literal_):
            self.is_v1 = True
            self.result.limit = int(float(args[0].text)) if args[0].kind == "number" else None
            self.result.notices.append(f"limit({args[0].text}) is now the query's own limit")
            return _TRUE
        raise self._refusal(path)

    def _refusal(self, helper: Path) -> Exception:
        """Return why a call of v1 cannot be translated."""
        name = helper.name
        if name.startswith(("redact", "rec")):
            return PlacedError(
                f"{name}() is not part of a filter", helper.at, hint="use redaction in the configuration"
            )
        meant = nearest(name, _HELPERS - {name})
        if name in _HELPERS or not meant:
            return NotV1()  # the KFL error names the nearest KFL function
        return PlacedError(f"unknown function {name}", helper.at, hint=f"did you mean {meant}?")

    def _method(self, path: Path, protocols: frozenset[str]) -> _Piece:
        """`path.startsWith("x")`."""
        call = path.steps[-1]
        *before, name = path.steps[:-1]
        if name.kind != "name" or name.text not in _METHODS or len(call.args) != 1:
            raise NotV1
        argument = call.args[0]
        if not isinstance(argument, Literal_) or argument.kind not in ("string", "number"):
            raise NotV1
        target = self._target(Path(path.name, tuple(before), path.at), protocols)
        receiver = "{}" if target.type == "string" else "string({})"
        return target_piece(target, f"{receiver}.{name.text}({quoted(argument.text)})")

    def _comparison(self, operator: str, left: Term, right: Term, protocols: frozenset[str]) -> _Piece:
        if isinstance(left, Literal_) and not isinstance(right, Literal_):
            operator, left, right = _FLIPPED[operator], right, left
        if isinstance(left, Path) and isinstance(right, Path) and not _is_helper(right):
            first, second = self._target(left, protocols), self._target(right, protocols)
            if first.guard or second.guard or first.each or second.each:
                raise NotV1
            return _Piece(f"{first.text} {operator} {second.text}", _UNARY)
        if not isinstance(left, Path):
            yes_or_no = self.condition(left, protocols), self.condition(right, protocols)
            return _Piece(f"{yes_or_no[0].within(_ATOM)} {operator} {yes_or_no[1].within(_ATOM)}", _UNARY)
        target = self._target(left, protocols)
        if target.type == "timestamp":
            return _Piece(f"{target.text} {operator} {self._moment(right)}", _UNARY)
        value = _negated(right)
        if not isinstance(value, Literal_):
            raise NotV1
        return target_piece(target, self._compared(operator, value, target))

    def _compared(self, operator: str, value: Literal_, target: Target) -> str:
        """Return `{} op literal` in the types of KFL; v1 compared text forms."""
        match value.kind, target.type:
            case "regex", kind:
                self.is_v1 = True
                sign = {"==": "", "!=": "!"}.get(operator)
                if sign is None:
                    raise NotV1
                receiver = "{}" if kind == "string" else "string({})"
                return f"{sign}{receiver}.matches({quoted(value.text)})"
            case "nil", kind:
                self.is_v1 = True
                return f"{{}} {operator} {_EMPTY[kind]}"
            case "bool", "bool" | "dyn":
                return f"{{}} {operator} {value.text}"
            case "number" | "string", "int" if re.fullmatch(r"-?\d+(\.\d+)?", value.text):
                scaled = float(value.text) * target.scale
                whole = int(value.text) * target.scale if "." not in value.text else scaled
                return f"{{}} {operator} {whole}" if isinstance(whole, int) else f"double({{}}) {operator} {whole}"
            case "number", "double":
                return f"{{}} {operator} {float(value.text)}"
            case "number", "dyn":
                return f"{{}} {operator} {value.text}"
            case "number", "string" if operator not in ("==", "!="):
                return f"double({{}}) {operator} {float(value.text)}"
            case _, "string" | "dyn":
                return f"{{}} {operator} {quoted(target.spelled(value.text))}"
            case _, "int" | "double" | "bool":
                return f"string({{}}) {operator} {quoted(value.text)}"
        raise NotV1

    def _moment(self, term: Term) -> str:
        """Translate what a timestamp is compared with: datetime(), seconds(-30), or milliseconds."""
        value = _negated(term)
        if isinstance(value, Literal_) and value.kind == "number":
            self.is_v1 = True
            return _stamp(int(float(value.text) * 10**6) if "." in value.text else int(value.text) * 10**6, value.at)
        if not isinstance(value, Path) or len(value.steps) != 1 or not _is_helper(value):
            raise NotV1
        args = [_negated(arg) for arg in value.steps[0].args]
        if value.name == "now" and not args:
            return "now()"
        if value.name not in _HELPERS:
            raise self._refusal(value)
        if len(args) != 1 or not isinstance(args[0], Literal_):
            raise NotV1
        self.is_v1 = True
        argument = args[0]
        if value.name == "datetime":
            return _datetime(argument)
        if not re.fullmatch(r"-?\d{1,9}", argument.text):
            raise NotV1
        count = int(argument.text)
        if value.name in ("months", "years"):
            return _stamp(_months_later(self._now_ns, count * (12 if value.name == "years" else 1), value.at), value.at)
        if value.name not in _SPANS:
            raise NotV1
        unit, times = _SPANS[value.name]
        return f'now() {"-" if count < 0 else "+"} duration("{abs(count) * times}{unit}")'

    def _target(self, path: Path, protocols: frozenset[str]) -> Target:
        """Find what a path of v1 is called in KFL. Raise NotV1 for a name neither language knows."""
        if any(step.kind == "deep" for step in path.steps):
            raise PlacedError("'..' has no counterpart", path.at, hint='use field("a.b.c") with the whole path')
        steps = path.steps
        names = [path.name]
        while steps and steps[0].kind == "name":
            names.append(steps[0].text)
            steps = steps[1:]
        for length in range(len(names), 0, -1):
            name = ".".join(names[:length])
            rest = (*(Step("name", text) for text in names[length:]), *steps)
            if known := MAPPED.get((next((flag for flag in sorted(protocols) if (flag, name) in MAPPED), ""), name)):
                target = known(rest)
                if target is not None:
                    self.is_v1 = True
                    return target
            if not rest and (variable := self._variables.get(name)):
                return Target(name, variable.type)
        known_parts = RESOLUTION.get(path.name, frozenset())
        if known_parts is not None and (len(names) < 2 or names[1] not in known_parts):
            raise NotV1
        self.is_v1 = True
        whole = field_path(names, steps)
        loop = "p" if "[*]" in whole else ""
        return Target(f"field({quoted(whole)})", "dyn", each=loop, loop=loop)


def target_piece(target: Target, form: str) -> _Piece:
    """Put a target into the first `{}` of `form`, with the guard or loop it needs."""
    if target.each:
        return _Piece(f"{target.text}.exists({target.loop}, {form.replace('{}', target.each, 1)})")
    text = form.replace("{}", target.text, 1)
    if target.guard:
        return _Piece(f"{target.guard} && {text}", _AND)
    return _Piece(text, _ATOM if form == "{}" else _UNARY)


def _joined(operator: str, left: _Piece, right: _Piece) -> _Piece:
    if operator == "and":
        if _TRUE in (left, right):  # a limit(…) that was taken out
            return right if left == _TRUE else left
        return _Piece(f"{left.within(_AND)} && {right.within(_AND)}", _AND)
    # An && inside an || needs no parentheses, but the reader of a translation does.
    return _Piece(f"{left.within(_UNARY)} || {right.within(_UNARY) if right.binds != _OR else right.text}", _OR)


def _is_helper(path: Path) -> bool:
    return bool(path.steps) and path.steps[0].kind == "call"


def _negated(term: Term) -> Term:
    if isinstance(term, Unary) and term.operator == "-" and isinstance(term.term, Literal_):
        return Literal_(term.term.kind, f"-{term.term.text}", term.at)
    return term


def _datetime(argument: Literal_) -> str:
    found = _DATETIME.fullmatch(argument.text)
    try:
        text = f"{found[1]} {found[2]} {found[4]}" if found else ""
        moment = datetime.strptime(text, "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=UTC)
    except ValueError:
        raise PlacedError("not a date and time", argument.at, hint='write timestamp("2021-10-19T18:29:02Z")') from None
    nanos = int((found[3] or "").ljust(9, "0")) if found else 0
    return _stamp((moment - _EPOCH) // timedelta(seconds=1) * 10**9 + nanos, argument.at)


def _stamp(value_ns: int, at: int) -> str:
    try:
        return f'timestamp("{timestamp_text(value_ns)}")'
    except OverflowError:
        raise PlacedError("the time is out of range", at) from None


def _months_later(now_ns: int, months: int, at: int) -> int:
    """Move by calendar months; a day the month lacks becomes its last (31 March - 1 month = 28 February)."""
    whole, nanos = divmod(now_ns, 10**9)
    now = _EPOCH + timedelta(seconds=whole)
    years, month = divmod(now.month - 1 + months, 12)
    year = now.year + years
    if not 1 <= year <= 9998:
        raise PlacedError("the time is out of range", at)
    first = now.replace(year=year, month=month + 1, day=1)
    last_day = ((first + timedelta(days=31)).replace(day=1) - timedelta(days=1)).day
    moved = first.replace(day=min(now.day, last_day))
    return (moved - _EPOCH) // timedelta(seconds=1) * 10**9 + nanos
