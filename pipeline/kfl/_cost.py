"""How dear a term is: the order in which operands of && and || run (kfl.md §4.4)."""

from __future__ import annotations

from kubeshark.pipeline.kfl._ast import Call, Comprehension, Node, PluginCall, Var, walk
from kubeshark.pipeline.kfl._variables import Variables

__all__ = ["HEAVY", "PLUGIN", "cost", "heavy_names"]

PLUGIN, HEAVY = 5, 6
_BY_TYPE = {"bool": 0, "int": 1, "double": 1, "timestamp": 1, "string": 2, "bytes": 2, "list": 3, "map": 3}
_LOOP = 3
_PATTERN = 3  # a regex or address costs more than comparing strings
_SLOW_FUNCTIONS = frozenset({"matches", "inCidr", "isPrivate"})


def cost(node: Node, variables: Variables) -> int:
    """Return the rank of the dearest part: flags, integers, strings, lists and maps, plugin filters, bodies."""
    highest = 0
    for part in walk(node):
        match part:
            case Var(name=name):
                rank = HEAVY if variables[name].is_heavy else _BY_TYPE[variables[name].type]
            case Call(function="field"):
                rank = HEAVY
            case Call(function=function) if function in _SLOW_FUNCTIONS:
                rank = _PATTERN
            case Comprehension():
                rank = _LOOP
            case PluginCall():
                rank = PLUGIN
            case _:
                rank = 0
        highest = max(highest, rank)
    return highest


def heavy_names(node: Node, variables: Variables) -> frozenset[str]:
    """Return what a filter reads that needs the full entry: heavy variables, and "field()"."""
    names = {part.name for part in walk(node) if isinstance(part, Var) and variables[part.name].is_heavy}
    if any(isinstance(part, Call) and part.function == "field" for part in walk(node)):
        names.add("field()")
    return frozenset(names)
