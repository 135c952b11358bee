"""Whether entries of one protocol can match at all: a filter read with only that protocol's flags open.

`http && status_code >= 500` needs no Redis stream dissected. Answers are True, False, or None: it depends on the entry.
"""

from __future__ import annotations

from collections.abc import Set

from kubeshark.pipeline.kfl._ast import Call, Const, Node, Var

__all__ = ["may_match"]


def may_match(tree: Node, own: Set[str], flags: Set[str]) -> bool:
    """Say whether an entry can match that sets none of `flags` but those in `own`."""
    return _decide(tree, own, flags) is not False


def _decide(node: Node, own: Set[str], flags: Set[str]) -> bool | None:
    match node:
        case Const(value=bool() as value):
            return value
        case Var(name=name):
            return False if name in flags and name not in own else None
        case Call(function="_&&_" | "_||_" as function, args=terms):
            decisive = function == "_||_"
            answers = [_decide(term, own, flags) for term in terms]
            if decisive in answers:
                return decisive
            return None if None in answers else not decisive
        case Call(function="!_", args=(term,)):
            answer = _decide(term, own, flags)
            return None if answer is None else not answer
        case _:
            return None
