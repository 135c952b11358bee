"""Tokens of a KFL text: what macros, hints and limits look at before CEL sees it.

Everything the pattern does not know becomes a one-character "other" token: the text is always covered, and the error is
left to the parser, which words it better.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

__all__ = ["Token", "significant", "tokens"]

Kind = Literal["space", "name", "number", "string", "operator", "other"]

_TOKEN = re.compile(
    r"""
      (?P<space> (?: [ \t\r\n\f] | //[^\n]* )+ )
    | (?P<string> (?: [rR][bB]? | [bB][rR]? )?
        (?: \"{3} (?: [^"\\] | \\. | "{1,2}(?!") )* \"{3} | '{3} (?: [^'\\] | \\. | '{1,2}(?!') )* '{3}
          | "(?: [^"\\\n] | \\. )*" | '(?: [^'\\\n] | \\. )*' ) )
    | (?P<name> [A-Za-z_][A-Za-z0-9_]* )
    | (?P<number> 0x[0-9A-Fa-f]+u? | (?: [0-9]+ (?: \.[0-9]+ )? | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? u? )
    | (?P<operator> && | \|\| | == | != | <= | >= | [-+*/%<>!?:.,()\[\]{}] )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(Struct, frozen=True):
    kind: Kind
    text: str
    start: int  # code point offset

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def tokens(text: str) -> Iterator[Token]:
    """Yield tokens that cover the whole text; linear time."""
    for found in _TOKEN.finditer(text):
        kind: Kind = found.lastgroup  # type: ignore[assignment]  # every alternative is a named group of Kind
        yield Token(kind, found.group(), found.start())


def significant(text: str) -> list[Token]:
    """Return the tokens without white space and comments."""
    return [token for token in tokens(text) if token.kind != "space"]
