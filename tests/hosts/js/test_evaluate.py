"""The fast way and the public one give the same values and the same errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from py_mini_racer import JSEvalException, JSTimeoutException, MiniRacer

from kubeshark.hosts.js._evaluate import evaluate


class Public:
    """An engine of a version whose private names are others."""

    _ctx = None

    def __init__(self, engine: MiniRacer) -> None:
        self.eval = engine.eval


@pytest.fixture(params=["fast", "public"])
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    with MiniRacer() as engine:
        yield engine if request.param == "fast" else Public(engine)


def test_values_and_errors(engine: Any) -> None:
    assert evaluate(engine, "6 * 7", 5.0) == 42
    with pytest.raises(JSEvalException, match="on purpose"):
        evaluate(engine, "throw new Error('on purpose')", 5.0)


@pytest.mark.parametrize("code", ["for (;;);", '/^(a+)+$/.test("a".repeat(40) + "b")'])
def test_an_endless_evaluation_is_stopped(engine: Any, code: str) -> None:
    with pytest.raises(JSTimeoutException):
        evaluate(engine, code, 0.05)
    assert evaluate(engine, "1 + 1", 5.0) == 2
