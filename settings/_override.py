"""--set KEY=VALUE: the value is read by the key's type, as it would be in the file."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as MappingType
from typing import Any, get_args, get_origin

from kubeshark._document import Mapping, Node, Place, Scalar, read_documents
from kubeshark.errors import UsageError
from kubeshark.settings._ignored import has_no_effect
from kubeshark.settings._keys import Key, keys
from kubeshark.settings._read import nearest, read_value

__all__ = ["read_overrides"]

PLACE = Place("--set", 0, 0)


def read_overrides(overrides: Iterable[str], before: MappingType[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the values that the texts KEY=VALUE give, and warnings. `before`: values they add names of mappings to.

    A list's key given again adds to the list; `key=` empties; `key.NAME=value` sets one name of a mapping. A value that
    begins with [ or { is YAML. Raise UsageError for an unknown key, with the nearest name.
    """
    given: dict[str, Any] = {}
    warnings: list[str] = []
    for text in overrides:
        path, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text[:100]!r} has no value", hint="write --set key.path=value")
        key, name = _key(path)
        if key is None:
            if not has_no_effect(path):
                near = nearest(path)
                hint = f"did you mean {near}?" if near else '"kubeshark config" shows all keys'
                raise UsageError(f"--set {path[:100]}: there is no such key", hint=hint)
            warnings.append(f"--set {path} has no effect here")
            continue
        given[key.path] = _value(key, name, value, given, before)
    return given, warnings


def _key(path: str) -> tuple[Key | None, str]:
    """Return the key, and the name in its mapping, which may have dots of its own."""
    known = keys()
    if path in known:
        return known[path], ""
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        key = known.get(".".join(parts[:end]))
        if key is not None and get_origin(key.type) is MappingType:
            return key, ".".join(parts[end:])
    return None, ""


def _value(key: Key, name: str, text: str, given: MappingType[str, Any], before: MappingType[str, Any]) -> Any:
    origin = get_origin(key.type)
    if name:
        so_far = given.get(key.path, before.get(key.path, key.default))
        kind = get_args(key.type)[1]
        return {**so_far, name: read_value(kind, _node(text, key.path, kind), f"{key.path}.{name}")}
    if origin is tuple:
        if not text:
            return ()
        node = _node(text, key.path, key.type)
        kind, path = get_args(key.type)[0], key.path
        many = isinstance(node, Scalar)  # one item: given again it adds
        added = (read_value(kind, node, f"{path}[0]"),) if many else read_value(key.type, node, path)
        return (*given.get(path, ()), *added)
    if origin is MappingType and not text:
        return {}
    return read_value(key.type, _node(text, key.path, key.type), key.path)


def _node(text: str, path: str, kind: Any) -> Node:
    if get_origin(kind) in (tuple, MappingType) and text.lstrip().startswith(("[", "{")):
        documents = read_documents(text.encode(), f"--set {path}")
        if len(documents) != 1 or isinstance(documents[0], Scalar):
            raise UsageError(f"--set {path}: {text[:60]!r} is no list or mapping")
        node = documents[0]
        if isinstance(node, Mapping) and get_origin(kind) is tuple:
            raise UsageError(f"--set {path} must be a list, this is a mapping", hint="write [{…}]")
        return node
    return Scalar(text, is_quoted=False, place=PLACE)
