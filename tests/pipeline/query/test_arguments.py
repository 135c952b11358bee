"""What a query takes by name: what makes no sense is refused before anything is read."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from kubeshark.errors import UsageError
from kubeshark.pipeline import FileDissection, Pipeline
from kubeshark.pipeline.query._arguments import QueryArguments, make_options
from tests.pipeline._stores import make_store
from tests.pipeline._traffic import Capture, Connection


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"limit": -1}, "limit is -1: it is a whole number from 0 on, or None"),
        ({"limit": "5"}, "limit is '5': it is a whole number, from 0 on, or None"),
        ({"limit": 2.5}, "limit is 2.5"),
        ({"max_bytes": -1}, "max_bytes is -1"),
        ({"max_seconds": -0.1}, "max_seconds is -0.1: it is a number of seconds, or None"),
        ({"max_seconds": float("nan")}, "max_seconds is nan"),
        ({"since_ns": 1.7e18}, "since_ns is 1.7e+18: it is a whole number, nanoseconds since 1970"),
        ({"until_ns": "2026-01-01"}, "until_ns is '2026-01-01'"),
        ({"order": "newest"}, 'order is \'newest\': it is "asc" or "desc"'),
        ({"after": "here"}, "cursor"),
        ({"before": 5}, "before is 5"),
        ({"after": b"x"}, "after is b'x'"),
    ],
)
def test_a_value_that_makes_no_sense(given: Any, what: str) -> None:
    with pytest.raises(UsageError) as refused:
        make_options(given)
    assert what in str(refused.value)


def test_every_option_has_its_place() -> None:
    given = QueryArguments(since_ns=-1, until_ns=2, limit=0, order="desc", max_seconds=0.5, max_bytes=3)
    options = make_options(given, most=7)
    assert (options.since_ns, options.until_ns, options.limit, options.order) == (-1, 2, 0, "desc")
    assert (options.budget.seconds, options.budget.bytes) == (0.5, 3)
    assert make_options({}, most=7).limit == 7


def test_who_embeds_is_told(tmp_path: Path) -> None:
    capture = Capture()
    Connection(capture).open().ask().answer()
    with Pipeline.open(make_store(tmp_path, capture), create=False) as pipeline:
        with pytest.raises(TypeError, match="a query takes no limits: it takes since_ns, until_ns, limit"):
            pipeline.query("http", limits=3)  # type: ignore[call-arg]
        with pytest.raises(UsageError, match="jobs is 0"):
            pipeline.rows("http", jobs=0)
        with pytest.raises(UsageError, match="no executor 'threads': "):
            pipeline.rows("http", executor="threads")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="no format 'zip': "):
            pipeline.export("", BytesIO(), format="zip")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="limit is -1"):
        FileDissection([], limit=-1)
