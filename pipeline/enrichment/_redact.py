"""Takes content out of an entry, so that no variable, document, representation or filter can tell it any more.

Invariants:

1. What a redaction names disappears everywhere: its text is replaced in every other variable and document too, also
   where it is escaped (JSON, percent) or inside base64.
2. The bytes of a redacted entry are withheld: they would say it again, in whatever encoding.
3. What the index answers (addresses, ports, time, transport, flags) stays: a filter on it selects flows by the index,
   and hiding the value would hide nothing. Naming it is an error.
4. Doubt hides more: a place inside a text that is not JSON hides the whole text, and a value that is a part of a hidden
   one (a cookie of its header) is hidden, too.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import msgspec

from kubeshark._json import json_text
from kubeshark.extension_api import Message, MessageKind, Redaction
from kubeshark.pipeline.dissection._matcher import Exchange, Timed
from kubeshark.pipeline.kfl import VARIABLES

if TYPE_CHECKING:
    from kubeshark.pipeline.entries._entry import Entry

__all__ = [
    "LEAST_HIDDEN",
    "SECRET_HEADERS",
    "SECRET_WORD",
    "TOLD_BY_BRIEF",
    "RedactionError",
    "is_brief",
    "is_indexed",
    "is_steady",
    "redact",
    "with_other_fields",
    "withhold",
]

SECRET_HEADERS = (
    *("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token", "x-csrf-token"),
    *("x-amz-security-token", "x-vault-token", "x-kubernetes-token"),
)
SECRET_WORD = 8
"""Characters from which on a word of such a header ("Bearer …") is a secret of its own, wherever else it stands."""

INDEXED_SECTIONS = frozenset({"entry", "flags", "conn"})
TOLD_OF_WITHHELD = frozenset({"error", "error_type", "error_message", "tags"})
"""Indexed variables that change when an entry is withheld."""

BRIEF = frozenset({"status_code"})
TOLD_BY_BRIEF = frozenset({"error"})
"""No rule hides a boolean; it changes where an entry is withheld, and may be counted all the same."""

SHORTEST_TEXT = 3  # shorter texts are replaced where they are the whole value: "a" inside a word says nothing
SHORTEST_NUMBER = 4  # digits
LEAST_HIDDEN = 10 ** (SHORTEST_NUMBER - 1)
SHORTEST_PART = 4  # of a hidden text, as a value of its own
LONGEST_WHOLE = 4096  # of a hidden text whose parts are hidden: a header, not a body, which holds half of the entry
DEPTH = 64  # of documents
_PATH = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]|(?:^|\.)([^.\[\]"]+)')
_ROOTS = {
    "request": (MessageKind.REQUEST,),
    "response": (MessageKind.RESPONSE,),
    "event": (MessageKind.EVENT,),
    "data": (MessageKind.EVENT,),
}


class RedactionError(Exception):
    """A redaction cannot be done; the reason is the message."""


def redact(entry: Entry, redactions: Sequence[Redaction]) -> bool:
    """Do them all, in place; False if there was nothing to hide. RedactionError for one that cannot be done."""
    work = _Redactor(entry)
    for redaction in redactions:
        if redaction.path:
            work.hide(redaction.path, redaction.value)
        else:
            work.hide_text(redaction.text, redaction.value)
    if work.found:
        work.finish()
    return work.found


def withhold(entry: Entry, reason: str) -> None:
    """Leave nothing of an entry but what the index knows, and say why."""
    entry.tags = entry.annotations = ()
    entry.show_only({}, {}, with_other_fields(entry, lambda _: {}))
    entry.withheld_because(reason)


class _Redactor:
    """Collects what must go, then goes over the whole entry once."""

    def __init__(self, entry: Entry) -> None:
        if hasattr(entry, "_found"):
            raise TypeError("a row of a table shows its columns: only an entry made in full can be redacted")
        entry.build()
        self.entry = entry
        self.known = entry.facts.origin.variables
        own = set(entry.protocol.flags)
        self.variables = {
            name: value
            for name, value in entry.variables.items()
            if name in self.known and not is_indexed(name) and name not in own
        }
        self.documents = {kind: entry.detail(kind) for kind in MessageKind if entry.message(kind)}
        self.whole: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.numbers: set[float] = set()
        self.wholes: list[tuple[str, str]] = []  # (a hidden text, what is shown for its parts)
        self.found = False

    def hide(self, path: str, shown: str) -> None:
        """Find what a path names, as a variable and in the documents."""
        keys = _keys(path)
        if path.strip() in self.known and is_indexed(path.strip()):
            raise RedactionError(f"{path} cannot be redacted: the index answers for it")
        name, rest = self._variable(keys)
        kinds = _ROOTS.get(keys[0], ())
        if not name and not kinds:
            raise RedactionError(f"{path[:80]!r} is no variable and lies in no request, response, event or data")
        if name and name in self.variables:
            self.variables[name] = self._walk(self.variables[name], rest, shown, is_variable=not rest)
        for kind in kinds:
            if kind in self.documents:
                self.documents[kind] = self._walk(self.documents[kind], keys[1:], shown)

    def _variable(self, keys: list[str]) -> tuple[str, list[str]]:
        """Return the variable that the first keys name, and the other keys."""
        for count in range(len(keys), 0, -1):
            name = ".".join(keys[:count])
            if name in self.known:
                if is_indexed(name):
                    raise RedactionError(f"{name} cannot be redacted: the index answers for it")
                return name, keys[count:]
        return "", keys

    def hide_text(self, text: str, shown: str) -> None:
        self.found = True
        if len(text) >= SHORTEST_TEXT:
            self.texts.setdefault(text, shown)
        else:
            self.whole.setdefault(text, shown)

    def _walk(self, value: Any, keys: list[str], shown: str, *, is_variable: bool = False) -> Any:
        """Return the value with what the keys name replaced; note what was there."""
        if not keys:
            self.found = self.found or bool(value)
            self._note(value, shown)
            if is_variable and not isinstance(value, str):
                return type(value)()
            if isinstance(value, Mapping | list):  # whoever shows it counts on what it is
                return type(value)() if isinstance(value, list) else {}
            return shown
        key, rest = keys[0], keys[1:]
        if isinstance(value, Mapping):
            folded = key.casefold()
            return {
                name: self._walk(inner, rest, shown) if key == "*" or str(name).casefold() == folded else inner
                for name, inner in value.items()
            }
        if isinstance(value, list | tuple):
            if key == "*" or not key.isdecimal():
                return [self._walk(inner, rest if key == "*" else keys, shown) for inner in value]
            return [self._walk(inner, rest, shown) if at == int(key) else inner for at, inner in enumerate(value)]
        if isinstance(value, str) and value:
            return self._walk_text(value, keys, shown)
        return value

    def _walk_text(self, text: str, keys: list[str], shown: str) -> str:
        """A body: go on inside if it is JSON, hide all of it if it is not."""
        inside = _json_of(text)
        if inside is None:
            self._note(text, shown)
            return shown
        changed = json_text(self._walk(inside, keys, shown))
        if changed != json_text(inside):
            self.whole[text] = changed
            return changed
        return text

    def _note(self, value: Any, shown: str, depth: int = 0) -> None:
        """Remember every leaf of what was hidden: it may stand elsewhere, too."""
        if isinstance(value, Mapping) and depth < DEPTH:
            for inner in value.values():
                self._note(inner, shown, depth + 1)
        elif isinstance(value, list | tuple) and depth < DEPTH:
            for inner in value:
                self._note(inner, shown, depth + 1)
        elif isinstance(value, str) and value and value != shown:
            self.hide_text(value, shown)
            if len(value) <= LONGEST_WHOLE:
                self.wholes.append((value, shown))
        elif isinstance(value, int | float) and not isinstance(value, bool) and len(str(value)) >= SHORTEST_NUMBER:
            self.numbers.add(value)
            self.texts.setdefault(str(value), shown)

    def finish(self) -> None:
        """Go over everything that can be seen of the entry."""
        scrub = _Scrubber(self.whole, self.texts, self.numbers, self.wholes)
        variables = {name: scrub.variable(value) for name, value in self.variables.items()}
        documents = {kind: scrub.document(document) for kind, document in self.documents.items()}

        def fields(message: Message) -> dict[str, Any]:
            return {name: variables.get(name, scrub.variable(value)) for name, value in message.fields.items()}

        error = self.entry.error
        self.entry.show_only(variables, documents, with_other_fields(self.entry, fields, scrub.text))
        if error:
            self.entry.error = msgspec.structs.replace(error, message=scrub.text(error.message))


@functools.lru_cache(maxsize=256)
def _base64_words(shortest: int) -> re.Pattern[str]:
    return re.compile(rf"[A-Za-z0-9+/_-]{{{shortest},}}={{0,2}}")


class _Scrubber:
    """Replaces texts, in whatever way they are written."""

    def __init__(
        self,
        whole: Mapping[str, str],
        texts: Mapping[str, str],
        numbers: set[float],
        wholes: Sequence[tuple[str, str]],
    ) -> None:
        self.whole = whole
        self.wholes = wholes
        self.numbers = numbers
        self.needles = [text.encode("utf-8", "replace") for text in texts]
        shortest = min(map(len, self.needles), default=0)
        self._shortest = max(4, -(-shortest * 8 // 6))  # digits that can hold one
        spelt: dict[str, str] = {}
        for text, shown in texts.items():
            escaped = json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]
            for spelling in (text, *escaped, quote(text, safe=""), quote(text), quote_plus(text)):
                spelt.setdefault(spelling, shown)
        self.spelt = dict(sorted(spelt.items(), key=lambda pair: -len(pair[0])))  # the longest first

    def text(self, text: str, depth: int = 0) -> str:
        text = self.whole.get(text, text)
        inside = _json_of(text) if depth < DEPTH else None
        if inside is not None:
            changed = self.document(inside, depth + 1)
            return text if changed == inside else json_text(changed)
        for spelling, shown in self.spelt.items():
            if spelling in text:
                text = text.replace(spelling, shown)
        if len(text) < self._shortest:
            return text
        return _base64_words(self._shortest).sub(self._encoded, text) if self.needles else text

    def _encoded(self, found: re.Match[str]) -> str:
        digits = found[0].rstrip("=").replace("-", "+").replace("_", "/")
        try:
            decoded = base64.b64decode(digits + "=" * (-len(digits) % 4))
        except (binascii.Error, ValueError):
            return found[0]
        return "[redacted]" if any(needle in decoded for needle in self.needles) else found[0]

    def document(self, value: Any, depth: int = 0) -> Any:
        if isinstance(value, str):
            return self._part(value) or self.text(value, depth)
        if isinstance(value, bytes):
            return b""
        if isinstance(value, Mapping):
            if depth > DEPTH:
                return {}
            return {self.text(str(name)): self.document(inner, depth + 1) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [] if depth > DEPTH else [self.document(inner, depth + 1) for inner in value]
        return "[redacted]" if self._is_hidden(value) else value

    def _part(self, text: str) -> str:
        """Return what is shown for a value that is a part of something hidden, "" for every other."""
        if len(text) < SHORTEST_PART:
            return ""
        return next((shown for whole, shown in self.wholes if text in whole), "")

    def _is_hidden(self, value: Any) -> bool:
        """Say whether a number is one that was hidden, or has a hidden text among its digits."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        digits = str(value)
        return value in self.numbers or (
            len(digits) >= SHORTEST_NUMBER and any(spelling in digits for spelling in self.spelt)
        )

    def variable(self, value: Any) -> Any:
        """Like `document`, but the type stays; bytes are payload, and go."""
        if self._is_hidden(value):
            return type(value)()
        return self.document(value)


def _json_of(text: str) -> dict[str, Any] | list[Any] | None:
    """Return the object or list that a text is; None for every other text."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        found: dict[str, Any] | list[Any] = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found


def is_steady(name: str) -> bool:
    """Say whether hiding things, or withholding all of an entry, leaves this variable as it is."""
    return is_indexed(name) and name not in TOLD_OF_WITHHELD


def is_brief(name: str) -> bool:
    """Say whether a variable is a number that hiding leaves as it is while it is below LEAST_HIDDEN.

    What is hidden elsewhere is looked for in numbers of SHORTEST_NUMBER digits and more, and no rule names these.
    """
    return name in BRIEF


def is_indexed(name: str) -> bool:
    """Say whether a variable is one that the index answers for, or that says what an entry is."""
    variable = VARIABLES.get(name)
    return variable is not None and variable.section in INDEXED_SECTIONS


def _keys(path: str) -> list[str]:
    keys, at = [], 0
    while at < len(path):
        found = _PATH.match(path, at)
        if found is None or found.end() == at:
            raise RedactionError(f"{path[:80]!r} is not a path")
        quoted, index, plain = found.groups()
        keys.append(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else index or plain)
        at = found.end()
    if not keys:
        raise RedactionError("a path is empty")
    return keys


def with_other_fields(
    entry: Entry, fields: Callable[[Message], dict[str, Any]], text: Callable[[str], str] = lambda _: ""
) -> Exchange:
    """Return the entry's exchange with other fields, and nothing that could give more."""

    def of(timed: Timed | None) -> Timed | None:
        if timed is None:
            return None
        message = timed.message
        seen = replace(
            message, fields=fields(message), key=text(message.key), error=text(message.error), detail=None, parts=None
        )
        return msgspec.structs.replace(timed, message=seen)

    exchange = entry.exchange
    return Exchange(of(exchange.request), of(exchange.response), of(exchange.event))
