"""What a query takes by name. A word or a number that makes no sense is refused: passed over, it gave other entries."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import SupportsIndex, TypedDict, get_args

from kubeshark.errors import UsageError
from kubeshark.pipeline._budget import Budget, never
from kubeshark.pipeline.entries._order import Order, Place, parse_cursor
from kubeshark.pipeline.executors._executor import ExecutorName
from kubeshark.pipeline.query._query import QueryOptions, QueryProgress

__all__ = ["QueryArguments", "check_limit", "check_work", "make_options"]

NANOSECONDS = "nanoseconds since 1970, such as time.time_ns() gives"


class QueryArguments(TypedDict, total=False):
    """What every query of a store takes by name.

    `since_ns`, `until_ns`: nanoseconds since 1970, both taken in. `order`: "asc" or "desc" in time. `after`, `before`:
    cursors of an earlier query; the entries behind the one, or those that end before the other, in this order, without
    the entry itself; a `limit` with `before` counts from the end. `max_seconds`, `max_bytes` (decrypted): budgets.
    `on_progress` gets a QueryProgress now and then. `gave_up` is asked often, and ends the query where it says True.
    """

    since_ns: int | None
    until_ns: int | None
    limit: int | None
    order: Order
    after: str | None
    before: str | None
    max_seconds: float | None
    max_bytes: int | None
    on_progress: Callable[[QueryProgress], None] | None
    gave_up: Callable[[], bool]


def make_options(given: QueryArguments, most: int | None = None) -> QueryOptions:
    """Return the options of a query; raise UsageError for a value, or a text that is no cursor, TypeError for a name.

    `most` is the limit that the filter names. It is of what is shown first: whoever goes on from there wants more.
    """
    if unknown := given.keys() - QueryArguments.__annotations__.keys():
        known = ", ".join(QueryArguments.__annotations__)
        raise TypeError(f"a query takes no {min(unknown)}: it takes {known}")
    for name in ("since_ns", "until_ns"):
        _check_whole(name, given.get(name), NANOSECONDS)
    for name in ("limit", "max_bytes"):
        check_limit(name, given.get(name))
    seconds, order = given.get("max_seconds"), given.get("order", "asc")
    if seconds is not None and not seconds >= 0:
        raise UsageError(f"max_seconds is {seconds!r}: it is a number of seconds, or None")
    if order not in ("asc", "desc"):
        raise UsageError(f'order is {order!r}: it is "asc" or "desc"')
    after, before, limit = given.get("after"), given.get("before"), given.get("limit")
    if most is not None and not (after or before):
        limit = most if limit is None else min(limit, most)
    return QueryOptions(
        since_ns=given.get("since_ns"),
        until_ns=given.get("until_ns"),
        limit=limit,
        order=order,
        after=_cursor("after", after),
        before=_cursor("before", before),
        budget=Budget(seconds, given.get("max_bytes")),
        on_progress=given.get("on_progress"),
        gave_up=given.get("gave_up", never),
    )


def _cursor(name: str, text: object) -> Place | None:
    if text is not None and not isinstance(text, str):
        raise UsageError(f"{name} is {text!r}: it is the text of a cursor, or None")
    return parse_cursor(text) if text else None


def check_work(jobs: object, executor: object) -> None:
    """Raise UsageError for what is no number of processes, or no executor."""
    check_limit("jobs", jobs)
    if jobs == 0:
        raise UsageError("jobs is 0: it is a number of processes from 1 on, or None for as many as are worth it")
    if executor not in get_args(ExecutorName):
        raise UsageError(f"no executor {executor!r}: {', '.join(get_args(ExecutorName))}")


def check_limit(name: str, value: object) -> None:
    """Raise UsageError for what is neither None nor a whole number from 0 on."""
    _check_whole(name, value, "from 0 on, or None")
    if isinstance(value, SupportsIndex) and index(value) < 0:
        raise UsageError(f"{name} is {value!r}: it is a whole number from 0 on, or None")


def _check_whole(name: str, value: object, what: str) -> None:
    if value is not None and not isinstance(value, SupportsIndex):
        raise UsageError(f"{name} is {value!r}: it is a whole number, {what}")
