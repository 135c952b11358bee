"""Every key of the file: its path, type, default and comment, found in the model."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Annotated, Any, get_args, get_origin

import msgspec

from kubeshark.settings._model import Part, Settings

__all__ = ["Key", "describe", "is_part", "keys", "plain_type", "value_of"]


@dataclass(frozen=True, slots=True)
class Key:
    """One place in the file that holds a value: a scalar, a list, or a mapping with free names."""

    path: str  # "tap.release.namespace"
    type: Any
    default: Any
    owner: type[Part]
    attribute: str

    @property
    def comment(self) -> str:
        return describe(self.owner).get(self.attribute, "")


@cache
def keys() -> dict[str, Key]:
    """Return all keys by path, in the order of the model."""
    return {key.path: key for key in _inside(Settings, "")}


def _inside(part: type[Part], prefix: str) -> Iterator[Key]:
    for field in msgspec.structs.fields(part):
        path = f"{prefix}{field.encode_name}"
        if is_part(field.type):
            yield from _inside(field.type, f"{path}.")
        else:
            yield Key(path, field.type, _default(field), part, field.name)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default


def is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Part)


def plain_type(kind: Any) -> tuple[Any, msgspec.Meta]:
    """Return a type without its limits, and the limits."""
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        return inner, next(note for note in notes if isinstance(note, msgspec.Meta))
    return kind, msgspec.Meta()


def value_of(settings: Settings, path: str) -> Any:
    """Return the value at a key's path; KeyError for a path that is no key."""
    value: Any = settings
    for name in path.split("."):
        for field in msgspec.structs.fields(value) if isinstance(value, Part) else ():
            if field.encode_name == name:
                value = getattr(value, field.name)
                break
        else:
            raise KeyError(path)
    return value


@cache
def describe(part: type[Part]) -> dict[str, str]:
    """Return the text under each field of a part; nothing where the source is not at hand."""
    return _texts(sys.modules[part.__module__]).get(part.__name__, {})


@cache
def _texts(module: ModuleType) -> dict[str, dict[str, str]]:
    try:
        tree = ast.parse(inspect.getsource(module))
    except OSError:  # installed without sources: the file has no comments then
        return {}
    found: dict[str, dict[str, str]] = {}
    for each in tree.body:
        if isinstance(each, ast.ClassDef):
            texts = found.setdefault(each.name, {})
            for field, text in zip(each.body, each.body[1:], strict=False):
                is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
                    texts[field.target.id] = str(text.value.value)  # type: ignore[attr-defined]
    return found
