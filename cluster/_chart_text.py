"""Prints trees of `_tree.py` as templates of a Helm chart.

Everything becomes block YAML whose leaves are JSON: `toJson` writes any value so that YAML reads it back, whatever is
in it. Conditions hold for the same values in Go's templates as in Python: not false, not 0, not empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubeshark.cluster._tree import (
    OMIT,
    AsJson,
    Built,
    Digest,
    Each,
    Equals,
    Item,
    Material,
    Not,
    Setting,
    Spread,
    Text,
    When,
)

__all__ = ["template"]

BUILT = {"namespace": "$.Release.Namespace", "manager": "$.Release.Service", "version": "$.Chart.AppVersion"}


def template(trees: list[Any], *, head: str = "") -> str:
    """Return one template of several objects, each a document."""
    lines = [head] if head else []
    for tree in trees:
        lines += _document(tree)
    return "\n".join(lines) + "\n"


def _document(tree: Any) -> list[str]:
    if isinstance(tree, When):
        return [_if(tree.condition), *_document(tree.then), "{{- end }}"]
    return ["---", *_mapping(tree, 0)]


def _mapping(node: Mapping[Any, Any], indent: int) -> list[str]:
    lines: list[str] = []
    for key, value in node.items():
        if isinstance(key, Spread):
            at = " " * indent
            lines += [
                f"{at}{{{{- range $name, $text := {_expression(key.source)} }}}}",
                f"{at}{{{{ toJson $name }}}}: {{{{ toJson $text }}}}",
                f"{at}{{{{- end }}}}",
            ]
        else:
            lines += _entry(f"{json.dumps(key)}:" if not key.isidentifier() else f"{key}:", value, indent)
    return lines


def _entry(name: str, value: Any, indent: int) -> list[str]:
    at = " " * indent
    match value:
        case When(condition, then, otherwise) if not _is_leaf(value):
            lines = [f"{at}{_if(condition)}", *_entry(name, then, indent)]
            if otherwise is not OMIT:
                lines += [f"{at}{{{{- else }}}}", *_entry(name, otherwise, indent)]
            return [*lines, f"{at}{{{{- end }}}}"]
        case dict() if value and _always_has_entry(value):
            return [f"{at}{name}", *_mapping(value, indent + 2)]
        case dict() if value:  # YAML reads a key with nothing behind it as null
            return [f"{at}{name} {{", *_flow_mapping(value, indent + 2), f"{at}}}"]
        case list() if value and any(not isinstance(each, When | Each) for each in value):
            return [f"{at}{name}", *_items(value, indent)]
        case list() if value:
            return [f"{at}{name} [", *_flow(value, indent + 2), f"{at}]"]
    return [f"{at}{name} {_inline(value)}"]


def _always_has_entry(node: Mapping[Any, Any]) -> bool:
    return any(not isinstance(key, Spread) and _is_certain(value) for key, value in node.items())


def _is_certain(value: Any) -> bool:
    return not isinstance(value, When) or (value.otherwise is not OMIT and _is_certain(value.then))


def _items(node: list[Any], indent: int) -> list[str]:
    """Return the items of a list with at least one that is always there."""
    at = " " * indent
    lines: list[str] = []
    for each in node:
        match each:
            case When(condition, then, otherwise) if otherwise is OMIT:
                lines += [f"{at}{_if(condition)}", *_items([then], indent), f"{at}{{{{- end }}}}"]
            case Each(source, item):
                lines += [f"{at}{_range(source)}", *_items([item], indent), f"{at}{{{{- end }}}}"]
            case dict():
                first, *rest = _mapping(each, indent + 2)
                lines += [f"{at}- {first.lstrip()}", *rest]
            case _:
                lines.append(f"{at}- {_inline(each)}")
    return lines


def _flow(node: list[Any], indent: int) -> list[str]:
    """Return the items of a list that may be empty: in brackets, where YAML allows a comma behind the last."""
    at = " " * indent
    lines: list[str] = []
    for each in node:
        match each:
            case When(condition, then, otherwise) if otherwise is OMIT:
                lines += [f"{at}{_if(condition)}", *_flow([then], indent), f"{at}{{{{- end }}}}"]
            case Each(source, item):
                lines += [f"{at}{_range(source)}", *_flow([item], indent), f"{at}{{{{- end }}}}"]
            case dict():
                lines += [f"{at}{{", *_flow_mapping(each, indent + 2), f"{at}}},"]
            case _:
                lines.append(f"{at}{_inline(each)},")
    return lines


def _flow_mapping(node: Mapping[Any, Any], indent: int) -> list[str]:
    at = " " * indent
    lines: list[str] = []
    for key, value in node.items():
        match value:
            case When(condition, then, otherwise) if otherwise is OMIT:
                lines += [f"{at}{_if(condition)}", *_flow_mapping({key: then}, indent), f"{at}{{{{- end }}}}"]
            case dict() if value:
                lines += [f"{at}{json.dumps(key)}: {{", *_flow_mapping(value, indent + 2), f"{at}}},"]
            case _:
                lines.append(f"{at}{json.dumps(key)}: {_inline(value)},")
    return lines


def _is_leaf(node: Any) -> bool:
    if isinstance(node, When):
        return node.otherwise is not OMIT and _is_leaf(node.then) and _is_leaf(node.otherwise)
    return not isinstance(node, dict | list) or not node


def _inline(node: Any) -> str:
    if node is None or isinstance(node, str | bool | int | float | dict | list):
        return json.dumps(node)
    if isinstance(node, When):
        either = f"{_inline(node.then)}{{{{ else }}}}{_inline(node.otherwise)}"
        return f"{{{{ if {_condition(node.condition)} }}}}{either}{{{{ end }}}}"
    return f"{{{{ {_expression(node)} | toJson }}}}"


def _expression(node: Any) -> str:
    """Return the expression of Go's templates for a leaf."""
    match node:
        case Setting(path):
            return f"$.Values.{path}"
        case Built(name):
            return BUILT[name]
        case Material(name):
            return f"(index $material {json.dumps(name)})"
        case Item(path):
            return f"$item.{path}" if path else "$item"
        case Text(parts):
            return f'(printf "{"%v" * len(parts)}" {" ".join(map(_expression, parts))})'
        case When(condition, then, otherwise):
            return f"(ternary {_expression(then)} {_expression(otherwise)} ({_truth(condition)}))"
        case AsJson(values):
            return f"({_dict(values)} | toJson)"
        case Digest(text):
            return f"({_expression(text)} | sha256sum)"
    return json.dumps(node)


def _dict(values: Mapping[str, Any]) -> str:
    entries = (
        f"{json.dumps(name)} {_dict(value) if isinstance(value, dict) else _expression(value)}"
        for name, value in values.items()
    )
    return f"(dict {' '.join(entries)})"


def _condition(condition: Any) -> str:
    match condition:
        case Not(inner):
            return f"(not {_condition(inner)})"
        case Equals(value, other):
            return f"(eq (toString {_expression(value)}) {json.dumps(other)})"
    return _expression(condition)


def _truth(condition: Any) -> str:
    """Return a condition as a boolean, which `ternary` wants."""
    return f"not (not {_condition(condition)})"


def _if(condition: Any) -> str:
    return f"{{{{- if {_condition(condition)} }}}}"


def _range(source: Setting) -> str:
    return f"{{{{- range $item := {_expression(source)} }}}}"
