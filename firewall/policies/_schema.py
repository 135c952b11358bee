"""What a document may hold, as values: each form checks a node, and says what it takes as JSON Schema."""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubeshark._document import SHOWN, Listing, Node, Scalar
from kubeshark._document import Mapping as Fields

__all__ = ["Dictionary", "Duration", "Enumeration", "Form", "Items", "Number", "OneOf", "Structure", "Switch", "Text"]

_LOOKS_OTHERWISE = re.compile(
    r"[-+]?(\d[\d_]*)(\.\d*)?([eE][-+]?\d+)?|0[xob][\da-fA-F_]+|true|false|yes|no|on|off|null|~|", re.IGNORECASE
)
"""Plain texts that YAML readers take for something else than a text."""


class Form(ABC):
    """What may be somewhere. `check` returns the value in Python, or raises DocumentError."""

    @abstractmethod
    def check(self, node: Node, path: str) -> Any: ...

    @abstractmethod
    def json_schema(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Text(Form):
    """A text; `parse` turns it into what it means, and raises ValueError saying what it is not."""

    description: str = ""
    pattern: str = ""
    what: str = "a text"  # what the pattern describes, for the error
    max_length: int = 253
    parse: Callable[[str], Any] = str

    def check(self, node: Node, path: str) -> Any:
        text = _scalar(node, path, self.what)
        if not isinstance(node, Scalar) or (not node.is_quoted and _LOOKS_OTHERWISE.fullmatch(text)):
            raise node.place.error(
                f"{_short(text)} is no text", path=path, hint=f'write it in quotes: "{text[:SHOWN]}"'
            )
        return self.read(node, text, path)

    def read(self, node: Node, text: str, path: str) -> Any:
        if len(text) > self.max_length:
            raise node.place.error(f"{len(text):,} characters, at most {self.max_length}", path=path)
        if self.pattern and not re.fullmatch(self.pattern, text, re.ASCII):
            raise node.place.error(f"{_short(text)} is not {self.what}", path=path)
        try:
            return self.parse(text)
        except ValueError as error:
            raise node.place.error(str(error), path=path) from None

    def json_schema(self) -> dict[str, Any]:
        pattern = {"pattern": f"^(?:{self.pattern})$"} if self.pattern else {}
        return {"type": "string", "maxLength": self.max_length, **pattern, **_described(self.description)}


@dataclass(frozen=True, slots=True)
class Duration(Form):
    """A time like 90s, 2h or 1h30m, in seconds; 0 is one too."""

    description: str = ""
    max_s: int = 366 * 86_400

    def check(self, node: Node, path: str) -> int:
        text = _scalar(node, path, "a duration")
        found = re.fullmatch(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?", text, re.ASCII)
        if text != "0" and (not found or not text):
            raise node.place.error(
                f"{_short(text)} is no duration", path=path, hint="write 90s, 15m, 2h, 1h30m, 7d or 0"
            )
        parts = [int(part or 0) for part in found.groups()] if found and text != "0" else [0, 0, 0, 0]
        seconds = sum(part * unit for part, unit in zip(parts, (86_400, 3600, 60, 1), strict=True))
        if seconds > self.max_s:
            raise node.place.error(f"{_short(text)} is more than {self.max_s // 86_400} days", path=path)
        return seconds

    def json_schema(self) -> dict[str, Any]:
        pattern = r"^(0|(\d+d)?(\d+h)?(\d+m)?(\d+s)?)$"
        return {
            "type": ["string", "integer"],
            "pattern": pattern,
            "maximum": 0,
            "minimum": 0,
            **_described(self.description),
        }


@dataclass(frozen=True, slots=True)
class Number(Form):
    low: int
    high: int
    description: str = ""

    def check(self, node: Node, path: str) -> int:
        text = _scalar(node, path, "a number")
        if (isinstance(node, Scalar) and node.is_quoted) or not re.fullmatch(r"-?\d{1,10}", text, re.ASCII):
            raise node.place.error(f"{_short(text)} is no whole number", path=path)
        if not self.low <= int(text) <= self.high:
            raise node.place.error(f"{int(text)} is not in {self.low}..{self.high}", path=path)
        return int(text)

    def json_schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high, **_described(self.description)}


@dataclass(frozen=True, slots=True)
class Switch(Form):
    """true, or also false; `only` takes one of them."""

    only: bool | None = None
    description: str = ""

    def check(self, node: Node, path: str) -> bool:
        text = _scalar(node, path, "true or false")
        taken = ("true", "false") if self.only is None else (str(self.only).lower(),)
        if text not in taken or (isinstance(node, Scalar) and node.is_quoted):
            raise node.place.error(f"{_short(text)} is not {' or '.join(taken)}", path=path)
        return text == "true"

    def json_schema(self) -> dict[str, Any]:
        only = {} if self.only is None else {"const": self.only}
        return {"type": "boolean", **only, **_described(self.description)}


@dataclass(frozen=True, slots=True)
class Enumeration(Form):
    values: tuple[str, ...]
    description: str = ""

    def check(self, node: Node, path: str) -> str:
        text = _scalar(node, path, "a text")
        if text not in self.values:
            raise node.place.error(
                f"{_short(text)} is none of {', '.join(self.values)}", path=path, hint=_nearest(text, self.values)
            )
        return text

    def json_schema(self) -> dict[str, Any]:
        return {"enum": list(self.values), **_described(self.description)}


@dataclass(frozen=True, slots=True)
class Items(Form):
    """A list; an empty one is refused, because it could be read as nothing or as everything."""

    of: Form
    most: int
    empty_means: str = "no item"
    can_be_empty: bool = False

    def check(self, node: Node, path: str) -> tuple[Any, ...]:
        if not isinstance(node, Listing):
            raise node.place.error("is a list", path=path)
        if not node.items and not self.can_be_empty:
            raise node.place.error(
                f"is empty: {self.empty_means}", path=path, hint="name what is meant; 0.0.0.0/0 and ::/0 are everybody"
            )
        if len(node.items) > self.most:
            raise node.place.error(f"{len(node.items):,} items, at most {self.most}", path=path)
        return tuple(self.of.check(item, f"{path}[{index}]") for index, item in enumerate(node.items))

    def json_schema(self) -> dict[str, Any]:
        least = {} if self.can_be_empty else {"minItems": 1}
        return {"type": "array", **least, "maxItems": self.most, "items": self.of.json_schema()}


@dataclass(frozen=True, slots=True)
class Dictionary(Form):
    """Names with texts: labels."""

    key: Text
    value: Form
    most: int = 64
    description: str = ""

    def check(self, node: Node, path: str) -> dict[str, Any]:
        if not isinstance(node, Fields):
            raise node.place.error("is a mapping", path=path)
        if len(node.fields) > self.most:
            raise node.place.error(f"{len(node.fields):,} names, at most {self.most}", path=path)
        return {
            self.key.read(key, key.text, path): self.value.check(value, f"{path}.{key.text[:SHOWN]}")
            for key, value in node.fields
        }

    def json_schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "maxProperties": self.most,
            "propertyNames": self.key.json_schema(),
            "additionalProperties": self.value.json_schema(),
            **_described(self.description),
        }


@dataclass(frozen=True, slots=True)
class Structure(Form):
    """Named fields, all others refused. `make` gets (the fields given, the node, the path) and may refuse them."""

    fields: Mapping[str, Form]
    required: tuple[str, ...] = ()
    make: Callable[[dict[str, Any], Node, str], Any] = field(default=lambda given, _node, _path: given)
    description: str = ""
    takes_others: bool = False  # what another tool wrote: fields that are not named here are left alone

    def check(self, node: Node, path: str) -> Any:
        return self.make(self.given(node, path), node, path)

    def given(self, node: Node, path: str) -> dict[str, Any]:
        if not isinstance(node, Fields):
            raise node.place.error("is a mapping", path=path)
        given: dict[str, Any] = {}
        known = tuple(self.fields)
        for key, value in node.fields:
            inside = f"{path}.{key.text[:SHOWN]}" if path else key.text[:SHOWN]
            if key.text in self.fields:
                given[key.text] = self.fields[key.text].check(value, inside)
            elif not self.takes_others:
                raise key.place.error(
                    "unknown field", path=inside, hint=_nearest(key.text, known) or f"known are {', '.join(known)}"
                )
        for name in self.required:
            if name not in given:
                raise node.place.error(f"{name} is missing", path=path)
        return given

    def json_schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {name: form.json_schema() for name, form in self.fields.items()},
            "required": list(self.required),
            "additionalProperties": self.takes_others,
            **_described(self.description),
        }


@dataclass(frozen=True, slots=True)
class OneOf(Structure):
    """Exactly one of the fields."""

    def given(self, node: Node, path: str) -> dict[str, Any]:
        given = Structure.given(self, node, path)
        if len(given) != 1:
            told = f"gives {' and '.join(given)}" if given else "gives none"
            raise node.place.error(f"{told}: exactly one of {', '.join(self.fields)} is taken", path=path)
        return given

    def json_schema(self) -> dict[str, Any]:
        return {**Structure.json_schema(self), "minProperties": 1, "maxProperties": 1}


def _scalar(node: Node, path: str, what: str) -> str:
    if not isinstance(node, Scalar):
        raise node.place.error(f"is {what}", path=path)
    return node.text


def _short(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def _nearest(text: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(text[:SHOWN], known, 1, 0.7)
    return f"did you mean {near[0]!r}?" if near else ""


def _described(description: str) -> dict[str, str]:
    return {"description": description} if description else {}
