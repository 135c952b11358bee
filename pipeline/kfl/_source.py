"""The text CEL gets: macros put in, `has()` of names spelled out, every place traceable to what the user wrote.

1. A macro is a token, replaced by its parenthesised expression; a name behind a dot or before a bracket is none.
2. `has(a.b)` of a declared name becomes "is not the default": CEL's own has() knows only maps and messages.
3. Positions are kept: `origin` maps an offset of the rewritten text back to the user's text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Self

from msgspec import Struct, field

from kubeshark.errors import UsageError
from kubeshark.pipeline.kfl._errors import KflError, text_error
from kubeshark.pipeline.kfl._lexer import Token, significant
from kubeshark.pipeline.kfl._signatures import FUNCTIONS, STANDARD_FUNCTIONS
from kubeshark.pipeline.kfl._variables import RESERVED_WORDS, Variable, Variables

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


class _Piece(Struct, frozen=True):
    start: int
    origin: int  # offset in the user's text
    is_copy: bool  # character by character; else all of it came from that one place
    macro: str  # the outermost macro it belongs to


class Source(Struct):
    """A rewritten text; `original` is the user's."""

    original: str
    text: str = ""
    _pieces: list[_Piece] = field(default_factory=list)  # of `text`, in order

    @classmethod
    def of(cls, text: str) -> Self:
        """Return a text that nothing was put into."""
        source = cls(text)
        source.add(text, 0, is_copy=True)
        return source

    def add(self, text: str, origin: int, *, is_copy: bool = False, macro: str = "") -> None:
        self._pieces.append(_Piece(len(self.text), origin, is_copy, macro))
        self.text += text

    def error(self, offset: int, message: str, *, hint: str = "") -> KflError:
        """Build the error for an offset in the rewritten text, at the place in the user's text it came from."""
        at = bisect_right(self._pieces, offset, key=lambda piece: piece.start) - 1
        if at < 0:
            return text_error(self.original, 0, message, hint=hint)
        piece = self._pieces[at]
        place = piece.origin + (offset - piece.start if piece.is_copy else 0)
        return text_error(
            self.original, place, f"in macro {piece.macro}: {message}" if piece.macro else message, hint=hint
        )


class Macros(Mapping[str, str]):
    """Named expressions in KFL: names are free, bodies do not run in circles.

    `in_kfl` turns a body into KFL if it is in the old language. Raise UsageError for a bad name or a cycle.
    """

    def __init__(
        self,
        macros: Mapping[str, str],
        variables: Variables,
        plugins: Collection[str],
        in_kfl: Callable[[str], str],
    ) -> None:
        self._bodies = {**BUILT_IN_MACROS, **macros}
        self._in_kfl = in_kfl
        self._ready: dict[str, str] = {}
        taken = {
            "variable": variables.roots | variables.keys(),
            "function": STANDARD_FUNCTIONS | {signature.name for signature in FUNCTIONS},
            "plugin filter": frozenset(plugins),
            "reserved word": RESERVED_WORDS,
            "macro of KFL itself": BUILT_IN_MACROS.keys(),
        }
        for name in macros:
            if not name.isascii() or not name.isidentifier():
                raise UsageError(f"macro {name[:40]!r} is not a name: letters, digits and _ only")
            for what, names in taken.items():
                if name in names:
                    raise UsageError(f"macro {name} has the name of a {what}")
        for name in self._bodies:
            self._follow(name)

    def __getitem__(self, name: str) -> str:
        if name not in self._ready:
            self._ready[name] = self._in_kfl(self._bodies[name])
        return self._ready[name]

    def __contains__(self, name: object) -> bool:
        return name in self._bodies

    def __iter__(self) -> Iterator[str]:
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
    _Rewriter(source, variables, macros).put(text)
    _check_length(source.text, " with its macros")
    return source


class _Rewriter:
    def __init__(self, source: Source, variables: Variables, macros: Mapping[str, str]) -> None:
        self._source, self._variables, self._macros = source, variables, macros
        self._macro = ""  # the outermost one being put in …
        self._place = 0  # … and where the user wrote it

    def put(self, text: str) -> None:
        """Append `text` with macros put in. Recursion ends because macros have no cycle."""
        found = significant(text)
        copied = at = 0
        while at < len(found):
            token = found[at]
            presence = _presence(found, at, self._variables)
            if _is_macro(found, at, self._macros):
                self._copy(text, copied, token.start)
                self._put_macro(token)
                copied = token.end
            elif presence is not None:
                spelled_out, count = presence
                self._copy(text, copied, token.start)
                self._source.add(spelled_out, self._place if self._macro else token.start, macro=self._macro)
                at += count - 1
                copied = found[at].end
            at += 1
        self._copy(text, copied, len(text))

    def _put_macro(self, token: Token) -> None:
        is_outermost = not self._macro
        if is_outermost:
            self._macro, self._place = token.text, token.start
        self._source.add("(", self._place, macro=self._macro)
        body = self._macros[token.text]
        self.put(body)
        self._source.add("\n)" if "//" in body else ")", self._place, macro=self._macro)  # a comment must end
        if len(self._source.text) > MAX_TEXT_BYTES:  # here too, because macros can double a text without end
            raise _too_long(" with its macros")
        if is_outermost:
            self._macro = ""

    def _copy(self, text: str, start: int, end: int) -> None:
        if start < end:
            origin = self._place if self._macro else start
            self._source.add(text[start:end], origin, is_copy=not self._macro, macro=self._macro)


def _check_length(text: str, when: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        raise _too_long(when)


def _too_long(when: str) -> KflError:
    return KflError(f"the filter is longer than {MAX_TEXT_BYTES // 1024} KiB{when}")


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
