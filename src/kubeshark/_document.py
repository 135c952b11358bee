"""YAML and JSON from outside, as nodes that know their line and column. Hostile documents end early.

1. Nothing is built from a tag, and an anchor's alias is refused: no document is larger inside than its bytes.
2. Size, depth and number of nodes are bounded before anything is looked at, so that the worst document takes < 1 s.
3. A text is what was written. What looks like a number, a boolean or null and is not quoted keeps its look: whoever
   wants a text refuses it instead of guessing (`Scalar.is_quoted`), so that a label `no` or `012` is never changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubeshark.errors import UsageError

if TYPE_CHECKING:
    import yaml

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "DocumentError",
    "Listing",
    "Mapping",
    "Node",
    "Place",
    "Scalar",
    "read_documents",
    "split_documents",
]

MAX_BYTES = 512 << 10
"""Of one file: twenty times the largest policy of 50 rules that anybody would read."""

MAX_BYTES_WITHOUT_LIBYAML = 128 << 10
"""PyYAML's reader in Python takes a second for little more."""

MAX_NODES = 60_000
MAX_DEPTH = 24
SHOWN = 60  # characters of a text quoted in an error


class DocumentError(UsageError):
    """A policy, an inventory or a configuration says what it cannot: where (line, column, path), and what."""

    def __init__(
        self, message: str, *, file: str, line: int = 0, column: int = 0, path: str = "", hint: str = ""
    ) -> None:
        self.file = file
        self.path = path  # of the field: "spec.ingress[0].action"; "" for the whole document
        self.reason = message
        where = f"{file}:{line}:{column}: " if line else f"{file}: "
        super().__init__(f"{where}{path}: {message}" if path else f"{where}{message}", hint=hint)
        self.line, self.column = line, column


@dataclass(frozen=True, slots=True)
class Place:
    file: str
    line: int  # 1-based
    column: int

    def error(self, message: str, *, path: str = "", hint: str = "") -> DocumentError:
        return DocumentError(message, file=self.file, line=self.line, column=self.column, path=path, hint=hint)


@dataclass(frozen=True, slots=True)
class Scalar:
    text: str
    is_quoted: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Listing:
    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Mapping:
    fields: tuple[tuple[Scalar, Node], ...]  # keys are distinct
    place: Place


Node = Scalar | Listing | Mapping


def read_documents(data: bytes, file: str) -> list[Node]:
    """Return the documents of a YAML stream or a JSON text, empty ones left out; raise DocumentError."""
    if len(data) > MAX_BYTES:
        raise DocumentError(
            f"{len(data):,} bytes, at most {MAX_BYTES:,}", file=file, hint="split it into several files"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise DocumentError("not UTF-8", file=file, line=line, column=column) from None
    import yaml  # 20 ms, for those commands that read such files

    if not hasattr(yaml, "CSafeLoader") and len(data) > MAX_BYTES_WITHOUT_LIBYAML:
        message = f"{len(data):,} bytes, at most {MAX_BYTES_WITHOUT_LIBYAML:,} without libyaml"
        raise DocumentError(message, file=file, hint="split it, or install PyYAML with libyaml")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        return _Builder(_events(loader), file).documents()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise DocumentError(f"not YAML: {problem}", file=file, line=line, column=column) from None
    finally:
        loader.dispose()


def split_documents(text: str) -> list[str]:
    """Return the documents of a YAML stream each by itself, as they were written, with the comments before them."""
    pieces: list[list[str]] = [[]]
    has_content = False
    for line in text.splitlines(keepends=True):
        if line.startswith("---") and not line[3:4].strip():
            if has_content:
                pieces.append([])
            has_content = bool(line[3:].partition("#")[0].strip())
        elif line.strip() and not line.lstrip().startswith(("#", "%")):
            has_content = True
        pieces[-1].append(line)
    if not has_content and len(pieces) > 1:  # comments behind the last
        pieces[-2] += pieces.pop()
    return ["".join(piece) for piece in pieces]


def _events(loader: Any) -> Iterator[yaml.Event]:
    while loader.check_event():
        yield loader.get_event()


class _Builder:
    """Puts nodes together from events, without recursion: depth is counted."""

    def __init__(self, events: Iterator[yaml.Event], file: str) -> None:
        self._events = events
        self._file = file
        self._count = 0

    def documents(self) -> list[Node]:
        import yaml

        found: list[Node] = []
        open_: list[tuple[str, Place, list[Node]]] = []  # "[" or "{", where it began, what is in it
        for event in self._events:
            place = self._place(event)
            if isinstance(event, yaml.AliasEvent):
                raise place.error("aliases are not taken", hint="write it out")
            if isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                self._counts(event, place, len(open_) + 1)
                open_.append(("{" if isinstance(event, yaml.MappingStartEvent) else "[", place, []))
                continue
            if isinstance(event, yaml.ScalarEvent):
                self._counts(event, place, len(open_))
                node: Node = Scalar(event.value, not event.implicit[0], place)
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                kind, place, inside = open_.pop()
                node = Listing(tuple(inside), place) if kind == "[" else _mapping(inside, place)
            else:
                continue
            if open_:
                open_[-1][2].append(node)
            elif not (isinstance(node, Scalar) and node.text == "" and not node.is_quoted):
                found.append(node)
        return found

    def _place(self, event: yaml.Event) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _counts(self, event: Any, place: Place, depth: int) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            raise place.error(f"more than {MAX_NODES:,} values")
        if depth > MAX_DEPTH:
            raise place.error(f"nested more than {MAX_DEPTH} deep")
        if event.tag is not None and event.tag != "!":
            raise place.error(f"the tag {event.tag[:SHOWN]!r} is not taken")
        if event.anchor is not None:
            raise place.error("anchors are not taken", hint="write it out")


def _mapping(inside: list[Node], place: Place) -> Mapping:
    fields: dict[str, tuple[Scalar, Node]] = {}
    for key, value in zip(inside[::2], inside[1::2], strict=True):
        if not isinstance(key, Scalar):
            raise key.place.error("a field's name is a text")
        if key.text in fields:
            raise key.place.error(f"{key.text[:SHOWN]!r} is given twice")
        fields[key.text] = key, value
    return Mapping(tuple(fields.values()), place)
