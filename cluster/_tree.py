"""Manifests with places for settings, written once and read twice.

`evaluate` puts settings in and gives Kubernetes objects; `_chart_text.py` prints the same tree as templates of a Helm
chart. So the chart cannot say something else than `kubeshark tap` does: there is nothing to say it with.

A tree is made of dicts, lists, scalars and the nodes below.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

__all__ = [
    "OMIT",
    "AsJson",
    "Built",
    "Digest",
    "Each",
    "Equals",
    "Item",
    "Material",
    "Not",
    "Scope",
    "Setting",
    "Spread",
    "Text",
    "When",
    "evaluate",
]


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of a key of kubeshark.yaml; as a condition it holds unless it is false, 0 or empty."""

    path: str


@dataclass(frozen=True, slots=True)
class Built:
    """What neither file nor flag says: "namespace", "manager", "version"."""

    name: str


@dataclass(frozen=True, slots=True)
class Material:
    """A secret by name, base64 as a Secret holds it; made by `_material.py`, or by the chart."""

    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """Inside Each: the item, or a field of it."""

    path: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """Texts and values, one behind the other."""

    parts: tuple[Any, ...]

    @classmethod
    def of(cls, *parts: Any) -> Text:
        return cls(parts)


class _Omit:
    """The one value that leaves out the entry it stands for."""


OMIT = _Omit()


@dataclass(frozen=True, slots=True)
class Not:
    condition: Any


@dataclass(frozen=True, slots=True)
class Equals:
    value: Any
    other: str


@dataclass(frozen=True, slots=True)
class When:
    """`then` if the condition holds, else `otherwise`; omitted from a mapping or a list where that is OMIT."""

    condition: Any
    then: Any
    otherwise: Any = OMIT


@dataclass(frozen=True, slots=True)
class Each:
    """In a list: one item of it for each of a setting's."""

    source: Setting
    item: Any


@dataclass(frozen=True, slots=True)
class Spread:
    """As the key of a mapping (its value is None): the entries of a setting that is a mapping of texts."""

    source: Setting


@dataclass(frozen=True, slots=True, eq=False)
class AsJson:
    """A text of JSON: a mapping of names to settings, or of names to such mappings."""

    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Digest:
    """SHA-256 of a text, in hexadecimal: pods whose template holds it are replaced when the text changes."""

    text: AsJson


@dataclass(frozen=True, slots=True)
class Scope:
    """What a tree is evaluated with. `settings`: kubeshark.yaml as plain mappings and lists."""

    settings: Mapping[str, Any]
    built: Mapping[str, str]
    materials: Mapping[str, str]
    item: Any = None


def evaluate(node: Any, scope: Scope) -> Any:
    """Return the plain value of a tree; OMIT for one that is left out."""
    match node:
        case dict():
            return _mapping(node, scope)
        case list():
            return _list(node, scope)
        case Setting(path):
            return _follow(scope.settings, path)
        case Built(name):
            return scope.built[name]
        case Material(name):
            return scope.materials[name]
        case Item(path):
            return _follow(scope.item, path) if path else scope.item
        case Text(parts):
            return "".join(str(evaluate(part, scope)) for part in parts)
        case When(condition, then, otherwise):
            return evaluate(then if holds(condition, scope) else otherwise, scope)
        case AsJson(values):
            return as_json(evaluate(dict(values), scope))
        case Digest(text):
            return hashlib.sha256(evaluate(text, scope).encode()).hexdigest()
    return node


def holds(condition: Any, scope: Scope) -> bool:
    match condition:
        case Not(inner):
            return not holds(inner, scope)
        case Equals(value, other):
            return bool(evaluate(value, scope) == other)
    return bool(evaluate(condition, scope))


def as_json(value: Any) -> str:
    """Write JSON as Go does: sorted, without blanks, and safe inside HTML; so that chart and command agree."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _mapping(node: dict[Any, Any], scope: Scope) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(key, Spread):
            made |= evaluate(key.source, scope)
        elif (found := evaluate(value, scope)) is not OMIT:
            made[key] = found
    return made


def _list(node: list[Any], scope: Scope) -> list[Any]:
    made: list[Any] = []
    for each in node:
        while isinstance(each, When):
            each = each.then if holds(each.condition, scope) else each.otherwise
        if isinstance(each, Each):
            made += (evaluate(each.item, replace(scope, item=item)) for item in evaluate(each.source, scope))
        elif each is not OMIT:
            made.append(evaluate(each, scope))
    return made


def _follow(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value[name]
    return value
