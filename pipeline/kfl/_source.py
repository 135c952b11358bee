"""The text CEL gets: macros put in, `has()` of names spelled out, every place traceable to what the user wrote.

1. A macro is a token, replaced by its parenthesised expression; a name behind a dot or before a bracket is none.
2. `has(a.b)` of a declared name becomes "is not the default": CEL's own has() knows only maps and messages.
3. Positions are kept: `origin` maps an offset of the rewritten text back to the user's text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kubeshark.pipeline.kfl._errors import KflError, text_error
from kubeshark.pipeline.kfl._lexer import Token, significant
from kubeshark.pipeline.kfl._signatures import FUNCTIONS, RESERVED_WORDS, STANDARD_FUNCTIONS
from kubeshark.pipeline.kfl._variables import Variable, Variables

from kubeshark.errors import UsageError

__all__ = ["BUILT_IN_MACROS", "MAX_TEXT_BYTES", "Macros", "Source", "rewrite"]

BUILT_IN_MACROS: Mapping[str, str] = {"https": "tls && (http || http2)"}

MAX_TEXT_BYTES = 16 * 1024
"""Of one filter (rule 10), before and after macros."""

_DEFAULT_TEXTS = {
    "string": '""',
    "int": "0",
    "double": "0.0",
    "bool": "false",
    "bytes": 'b""',
    "timestamp": "timestamp(0)",
    "list": "[]",
    "map": "{}",
}


@dataclass(slots=True)
class Source:
    """A rewritten text; `original` is the user's."""

    original: str
    text: str = ""
    macros: frozenset[str] = frozenset()
    _starts: list[int] = field(default_factory=list)  # of pieces in `text`, ascending
    _origins: list[tuple[int, bool]] = field(default_factory=list)  # offset in `original`, copied verbatim

    def add(self, piece: str, origin: int, *, is_copy: bool) -> None:
        self._starts.append(len(self.text))
        self._origins.append((origin, is_copy))
        self.text += piece

    def origin(self, offset: int) -> int:
        """Return the offset in the user's text that an offset of the rewritten text came from."""
        at = bisect_right(self._starts, offset) - 1
        if at < 0:
            return 0
        origin, is_copy = self._origins[at]
        return origin + (offset - self._starts[at] if is_copy else 0)

    def error(self, offset: int, message: str, *, hint: str = "") -> KflError:
        return text_error(self.original, self.origin(offset), message, hint=hint)


class Macros(Mapping[str, str]):
    """Named expressions, checked: names are free, bodies do not run in circles.

    `translate` turns a body in the old dialect into KFL. Raise UsageError for a bad name or a cycle.
    """

    def __init__(
        self,
        macros: Mapping[str, str],
        variables: Variables,
        plugins: Mapping[str, object],
        translate: Callable[[str], str],
    ) -> None:
        self._bodies = {**BUILT_IN_MACROS, **macros}
        self._translate = translate
        taken = {
            "variable": variables.roots | variables.keys(),
            "function": STANDARD_FUNCTIONS | {signature.name for signature in FUNCTIONS},
            "plugin filter": frozenset(plugins),
            "reserved word": RESERVED_WORDS,
        }
        for name in macros:
            if not name.isascii() or not name.isidentifier():
                raise UsageError(f"macro {name!r} is not a name: letters, digits and _ only")
            for what, names in taken.items():
                if name in names:
                    raise UsageError(f"macro {name} has the name of a {what}")
        for name in self._bodies:
            self._follow(name)

    def __getitem__(self, name: str) -> str:
        return self._translate(self._bodies[name])

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._bodies)

    def __len__(self) -> int:
        return len(self._bodies)

    def _uses(self, name: str) -> list[str]:
        found = significant(self._bodies[name])
        return [token.text for at, token in enumerate(found) if _is_macro(found, at, self._bodies)]

    def _follow(self, first: str) -> None:
        """Raise UsageError if `first` leads back to itself."""
        seen: set[str] = set()
        pending = [first]
        while pending:
            for used in self._uses(pending.pop()):
                if used == first:
                    raise UsageError(f"macro {first} uses itself")
                if used not in seen:
                    seen.add(used)
                    pending.append(used)


def rewrite(text: str, variables: Variables, macros: Mapping[str, str]) -> Source:
    """Return the text CEL is given. Raise KflError where it is too long before or after macros."""
    _check_length(text, "")
    source = Source(text)
    used: set[str] = set()
    _put(source, text, None, variables, macros, used)
    source.macros = frozenset(used)
    return source


def _put(
    source: Source,
    text: str,
    place: int | None,
    variables: Variables,
    macros: Mapping[str, str],
    used: set[str],
) -> None:
    """Append `text`; inside a macro everything comes from the macro's `place`. Recursion ends: macros have no cycle."""
    found = significant(text)
    copied = 0
    at = 0
    while at < len(found):
        token = found[at]
        origin = token.start if place is None else place
        replaced = 1
        if _is_macro(found, at, macros):
            _copy(source, text, copied, token.start, place)
            used.add(token.text)
            source.add("(", origin, is_copy=False)
            _put(source, macros[token.text], origin, variables, macros, used)
            source.add("\n)", origin, is_copy=False)  # a macro may end in a comment
            _check_length(source.text, " after macros")
            copied = token.end
        elif (presence := _presence(found, at, variables)) is not None:
            piece, replaced = presence
            _copy(source, text, copied, token.start, place)
            source.add(piece, origin, is_copy=False)
            copied = found[at + replaced - 1].end
        at += replaced
    _copy(source, text, copied, len(text), place)


def _copy(source: Source, text: str, start: int, end: int, place: int | None) -> None:
    if start < end:
        source.add(text[start:end], start if place is None else place, is_copy=place is None)


def _check_length(text: str, when: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        raise KflError(f"the filter is longer than {MAX_TEXT_BYTES // 1024} KiB{when}")


def _is_macro(found: Sequence[Token], at: int, macros: Mapping[str, str]) -> bool:
    token = found[at]
    if token.kind != "name" or token.text not in macros:
        return False
    after = found[at + 1].text if at + 1 < len(found) else ""
    return after != "(" and (at == 0 or found[at - 1].text != ".")


def _presence(found: Sequence[Token], at: int, variables: Variables) -> tuple[str, int] | None:
    """Recognise `has(a.b)` of declared names: its replacement and how many tokens it replaces."""
    if found[at].text != "has" or at + 2 >= len(found) or found[at + 1].text != "(":
        return None
    if at and found[at - 1].text == ".":
        return None
    end = at + 2
    while end < len(found) and found[end].text != ")":
        wanted = "name" if (end - at) % 2 == 0 else "operator"
        if found[end].kind != wanted or (wanted == "operator" and found[end].text != "."):
            return None
        end += 1
    name = "".join(token.text for token in found[at + 2 : end])
    chosen = [variables[name]] if name in variables else variables.below(name)
    if end >= len(found) or not chosen or "." not in name:
        return None
    return "(" + " || ".join(map(_is_set, chosen)) + ")", end - at + 1


def _is_set(variable: Variable) -> str:
    default = "-1" if variable.default == -1 else _DEFAULT_TEXTS[variable.type]
    return f"{variable.name} != {default}"
