"""Looking into bodies and entries: json(), xml() and field().

A path is names with dots, `[0]`, `[*]` for every element, and `["odd key"]`. What a path does not find is null, never
an error; bodies come from the network, so nothing here recurses over them or resolves what they refer to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import msgspec

from kubeshark.pipeline.kfl._values import EvaluationError

__all__ = ["EVERY", "Path", "json_at", "lookup", "parse_path", "xml_at"]

MAX_BODY = 4 << 20
"""Longest body that json() and xml() parse; longer ones are "not JSON". Four times the default body limit."""

MAX_PLAIN_VALUES = 100_000
"""Most values of an object or list that a path may select."""

EVERY = object()
"""The step `[*]`."""

Path = tuple[Any, ...]  # str, int or EVERY

_STEP = r"""(?: {dot} (?P<name>[^.\[\]"'\s]+) | \[ (?: (?P<index>[0-9]{{1,9}}) | (?P<every>\*)
    | "(?P<double>[^"]*)" | '(?P<single>[^']*)' ) \] )"""
_FIRST_STEP = re.compile(_STEP.format(dot=""), re.VERBOSE)
_NEXT_STEP = re.compile(_STEP.format(dot=r"\."), re.VERBOSE)


@lru_cache(maxsize=256)
def parse_path(text: str) -> Path:
    """Read a path; "" is the whole document. Raise EvaluationError."""
    steps: list[Any] = []
    at = 0
    while at < len(text):
        found = (_NEXT_STEP if at else _FIRST_STEP).match(text, at)
        if found is None:
            raise EvaluationError(f"not a path: {text[:60]}")
        if found["every"]:
            steps.append(EVERY)
        elif found["index"]:
            steps.append(int(found["index"]))
        else:
            steps.append(next(part for part in (found["name"], found["double"], found["single"]) if part is not None))
        at = found.end()
    return tuple(steps)


def lookup(document: Any, path: Path) -> Any:
    """Return the value at a path, null if absent; with `[*]` the list of all values found, null without a list."""
    values = [document]
    saw_list = EVERY not in path
    for step in path:
        if step is EVERY:
            lists = [value for value in values if isinstance(value, Sequence) and not isinstance(value, (str, bytes))]
            saw_list = saw_list or bool(lists)
            values = [item for value in lists for item in value]
        elif isinstance(step, int):
            values = [
                value[step]
                for value in values
                if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and step < len(value)
            ]
        else:
            values = [value[step] for value in values if isinstance(value, Mapping) and step in value]
    if EVERY in path:
        return _plain(values) if saw_list else None
    return _plain(values[0]) if values else None


def _plain(value: Any) -> Any:
    """Return JSON as CEL values: integers beyond int64 are doubles, any sequence a list. Raise EvaluationError."""
    kind = type(value)
    if kind in (str, bool, float, bytes) or value is None:
        return value
    if isinstance(value, int):
        return int(value) if -(1 << 63) <= value < 1 << 63 else float(value)
    copied: list[Any] = []
    pending: list[tuple[Any, list[Any] | dict[str, Any], Any]] = [(value, copied, None)]
    for count, (source, target, key) in enumerate(_draining(pending)):
        if count > MAX_PLAIN_VALUES:
            raise EvaluationError("the value has too many parts")
        made: Any
        if isinstance(source, Mapping):
            made = {}
            pending.extend((part, made, name) for name, part in source.items())
        elif isinstance(source, Sequence) and not isinstance(source, (str, bytes)):
            made = [None] * len(source)
            pending.extend((part, made, index) for index, part in enumerate(source))
        else:
            made = _plain(source)
        if key is None:
            copied.append(made)
        else:
            target[key] = made
    return copied[0]


def _draining(pending: list[Any]) -> Iterator[Any]:
    while pending:
        yield pending.pop()


@lru_cache(maxsize=2)  # several json() calls of a filter read the same body, one after the other
def _json_document(body: str | bytes) -> Any:
    if len(body) > MAX_BODY:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def json_at(body: str | bytes, path: str) -> Any:
    """Return what a path finds in a JSON body; null if there is none or it is no JSON."""
    return lookup(_json_document(body), parse_path(path)) if body else None


class _Done(Exception):
    """Ends parsing early: found, or something a filter refuses to read."""


class _XmlFinder:
    """The text of the first element at a path of names, or one of its attributes; prefixes may be left out."""

    def __init__(self, names: Sequence[str]) -> None:
        self._attribute = names[-1][1:] if names[-1].startswith("@") else None
        self._names = names if self._attribute is None else names[:-1]
        self._depth = 0  # of the element being read
        self._matched = 0  # leading names matched by its ancestors and itself
        self._text: list[str] | None = None
        self.result: str | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._text is not None or self._matched != self._depth - 1 or self._matched >= len(self._names):
            return
        if self._names[self._matched] not in (name, name.rpartition(":")[2]):
            return
        self._matched += 1
        if self._matched == len(self._names):
            if self._attribute is None:
                self._text = []
            elif self._attribute in attributes:
                self.result = attributes[self._attribute]
                raise _Done

    def end(self, _name: str) -> None:
        if self._text is not None and self._depth == self._matched:
            self.result = "".join(self._text)
            raise _Done
        self._matched = min(self._matched, self._depth - 1)
        self._depth -= 1

    def characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def refuse(self, *_: Any) -> None:
        raise _Done


def xml_at(body: str | bytes, path: str) -> str | None:
    """Return the text at a path (`a.b`, `a.b.@id`) of an XML body, or null. A document with a DTD is not read."""
    from xml.parsers import expat  # rare in filters

    names = parse_path(path)
    if not names or not all(isinstance(name, str) for name in names):
        raise EvaluationError(f"not an XML path: {path[:60]}")
    if not body or len(body) > MAX_BODY:
        return None
    finder = _XmlFinder(names)
    parser = expat.ParserCreate()
    parser.StartElementHandler = finder.start
    parser.EndElementHandler = finder.end
    parser.CharacterDataHandler = finder.characters
    parser.StartDoctypeDeclHandler = finder.refuse
    # What was found before the end or an error counts; nothing found is null.
    with suppress(_Done, expat.ExpatError, ValueError, LookupError):
        parser.Parse(body.encode("utf-8", "replace") if isinstance(body, str) else body, True)
    return finder.result
