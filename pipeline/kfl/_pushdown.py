"""What a filter tells the index: a predicate over flows that keeps every flow with a matching entry."""

from __future__ import annotations

from dataclasses import dataclass

from kubeshark.core_capture._predicate import And, Predicate

__all__ = ["Pushdown"]


@dataclass(frozen=True, slots=True)
class Pushdown:
    """`predicate` over-approximates; with `exact` it decides every entry of a flow, and nothing need be dissected."""

    predicate: Predicate = And(())
    exact: bool = False
    text: str = "everything"
