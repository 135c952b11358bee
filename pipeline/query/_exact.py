"""What the index alone can answer: an expression that selects whole connections, for which nothing is dissected."""

from __future__ import annotations

from msgspec import Struct

from kubeshark.core_capture import Predicate
from kubeshark.errors import UsageError
from kubeshark.pipeline.kfl import plain_pushdown

__all__ = ["Exact", "exact_predicate"]


class Exact(Struct, frozen=True):
    """What selects all packets of the entries that match, and what the user should know of the expression."""

    predicate: Predicate
    notices: tuple[str, ...] = ()


def exact_predicate(kfl: str, *, now_ns: int) -> Exact | None:
    """Return what selects all packets of the entries that match, if the index alone can tell them; else None.

    Such an expression names no protocol and no plugin, so that none has to be loaded.
    """
    if not kfl.strip():
        return None
    if (plain := plain_pushdown(kfl)) is not None:
        return Exact(plain.predicate) if plain.exact else None
    from kubeshark.pipeline.kfl import compile_filter  # a plain filter needs no compiler

    try:
        compiled = compile_filter(kfl, now_ns=now_ns)
    except UsageError:  # it may know more with the plugins' variables
        return None
    if not compiled.pushdown.exact or compiled.calls or compiled.limit is not None:
        return None
    return Exact(compiled.pushdown.predicate, compiled.notices)
