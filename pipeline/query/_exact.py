"""What the index alone can answer: an expression that selects whole connections, for which nothing is dissected."""

from __future__ import annotations

from kubeshark.core_capture import Predicate
from kubeshark.errors import UsageError
from kubeshark.pipeline.kfl import plain_pushdown

__all__ = ["exact_predicate"]


def exact_predicate(kfl: str, *, now_ns: int) -> Predicate | None:
    """Return what selects all packets of the entries that match, if the index alone can tell them; else None.

    Such an expression names no protocol and no plugin, so that none has to be loaded.
    """
    if not kfl.strip():
        return None
    if (plain := plain_pushdown(kfl)) is not None:
        return plain.predicate if plain.exact else None
    from kubeshark.pipeline.kfl import compile_filter  # a plain filter needs no compiler

    try:
        compiled = compile_filter(kfl, now_ns=now_ns)
    except UsageError:  # it may know more with the plugins' variables
        return None
    return compiled.pushdown.predicate if compiled.pushdown.exact and not compiled.calls else None
