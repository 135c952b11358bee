"""Parsing and type-checking by CEL: the one module that knows cel-expr-python (0.1.3).

What was learned about it: dotted names can be declared as they are (`src.ip`) and resolve like qualified identifiers;
`has()` of such a name is accepted but typed wrong, so `_source` rewrites it before; its parser refuses nesting above
32 (not configurable), so it decides before our own limit does; errors come as one RuntimeError text with a line per
finding. It imports google.protobuf if that is installed (0.1 s of CPU), else a first check costs about 10 ms: this
module is imported by the first filter that is compiled, never by `import kubeshark`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kubeshark.pipeline.kfl import _ast
from kubeshark.pipeline.kfl._ast import Node
from kubeshark.pipeline.kfl._checked import read_checked
from kubeshark.pipeline.kfl._errors import KflError
from kubeshark.pipeline.kfl._lexer import significant
from kubeshark.pipeline.kfl._signatures import FUNCTIONS, TYPES, Signature, plugin_signature
from kubeshark.pipeline.kfl._source import Source
from kubeshark.pipeline.kfl._variables import Variables

if TYPE_CHECKING:
    from kubeshark.extension_api._models import FilterSpec

__all__ = ["check"]

_FINDING = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_STATUS = re.compile(r"\s*\[[A-Z_]+\]$")


def check(source: Source, variables: Variables, plugins: Mapping[str, FilterSpec]) -> Node:
    """Return the typed tree of a filter. Raise KflError with the place and, where there is one, the spelling meant."""
    if any("\ud800" <= char <= "\udfff" for char in source.text):
        raise KflError("the filter is not valid Unicode")
    signatures = (*FUNCTIONS, *(plugin_signature(name, spec) for name, spec in plugins.items()))
    environment = _environment(variables, signatures)
    try:
        expression = environment.compile(_without_dashes(source.text, plugins))
    except RuntimeError as error:
        raise _translated(str(error), source, variables, signatures) from None
    result = expression.return_type().name()
    if result != "BOOL":
        raise source.error(0, f"a filter must be bool, this is {result.lower()}", hint="compare it with something")
    written = {name.replace("-", "_"): name for name in plugins}
    return read_checked(expression.serialize(), variables, written)


def _without_dashes(text: str, plugins: Iterable[str]) -> str:
    """Write `my-plugin.is_bot(` as CEL can read it; the length stays, and with it every position."""
    for name in plugins:
        if "-" in name:
            for token in significant(text):
                if token.kind == "name" and text.startswith(f"{name}(", token.start):
                    text = text[: token.start] + name.replace("-", "_") + text[token.start + len(name) :]
    return text


@lru_cache(maxsize=8)
def _environment(variables: Variables, signatures: tuple[Signature, ...]) -> Any:
    """Build CEL's view of our names; about 1 ms."""
    from cel_expr_python import cel

    def cel_type(kind: _ast.Type) -> Any:
        match kind.name:
            case "list":
                return cel.Type.List(cel_type(kind.of[0]))
            case "map":
                return cel.Type.Map(cel_type(kind.of[0]), cel_type(kind.of[1]))
            case name:
                return getattr(cel.Type, name.upper())

    overloads: dict[str, list[Any]] = {}
    for signature in signatures:
        same_name = overloads.setdefault(signature.name, [])
        same_name.append(
            cel.Overload(
                f"kfl_{signature.name}_{len(same_name)}",
                cel_type(signature.result),
                [cel_type(parameter) for parameter in signature.parameters],
                signature.is_method,
            )
        )
    return cel.NewEnv(
        variables={name: cel_type(TYPES[variable.type]) for name, variable in variables.items()},
        functions=[cel.FunctionDecl(name, listed) for name, listed in overloads.items()],
    )


def _translated(message: str, source: Source, variables: Variables, signatures: tuple[Signature, ...]) -> KflError:
    """Turn CEL's text into one error at the user's place, worded for someone who types filters."""
    found = _FINDING.search(message)
    if found is None or found[1] == "-1":
        if "recursion" in message:
            return KflError("the filter is nested too deep")
        return KflError(_STATUS.sub("", message.splitlines()[0]) if message else "not a filter")
    from kubeshark.pipeline.kfl._hints import explain

    line, column = int(found[1]), int(found[2])
    lines = source.text.split("\n")
    offset = sum(len(text) + 1 for text in lines[: line - 1]) + column - 1
    words, hint, shift = explain(_STATUS.sub("", found[3]), source.text, offset, variables, signatures)
    return source.error(offset + shift, words, hint=hint)
