"""What a filter says of all entries of one protocol: read with that protocol's flags true and the others' false.

`http && status_code >= 500` needs no Redis stream dissected, and `http || dns` no look at any of their entries. Answers
are True, False, or None: it depends on the entry.
"""

from __future__ import annotations

from collections.abc import Set

from kubeshark.pipeline.kfl._ast import Call, Const, Node, Var

__all__ = ["decide", "may_match"]


def may_match(tree: Node, own: Set[str], flags: Set[str]) -> bool:
    """Say whether an entry can match that sets none of `flags` but those in `own`."""
    return decide(tree, frozenset(), flags - own) is not False


def decide(node: Node, true: Set[str], flags: Set[str]) -> bool | None:
    """Decide an entry that sets the flags in `true`, and no other of `flags`."""
    match node:
        case Const(value=bool() as value):
            return value
        case Var(name=name):
            return True if name in true else False if name in flags else None
        case Call(function="_&&_" | "_||_" as function, args=terms):
            decisive = function == "_||_"
            answers = [decide(term, true, flags) for term in terms]
            if decisive in answers:
                return decisive
            return None if None in answers else not decisive
        case Call(function="!_", args=(term,)):
            answer = decide(term, true, flags)
            return None if answer is None else not answer
        case _:
            return None
