"""Cheap terms run first; heavy ones are known by what they read."""

from __future__ import annotations

import pytest

from kubeshark.extension_api import FilterSpec
from kubeshark.pipeline.kfl import VARIABLES, compile_filter
from kubeshark.pipeline.kfl._cost import HEAVY, PLUGIN, cost, heavy_names

DEAREST_LAST = [
    "http",
    "status_code == 200",
    'method == "GET"',
    'src.ip.inCidr("10.0.0.0/8")',
    "is_bot()",
    'response_body == "x"',
]


def rank(kfl: str) -> int:
    return cost(compile_filter(kfl, now_ns=0, plugins={"is_bot": FilterSpec("is_bot")}).tree, VARIABLES)


def test_ranks_rise() -> None:
    ranks = [rank(kfl) for kfl in DEAREST_LAST]
    assert ranks == sorted(set(ranks))
    assert ranks[-2:] == [PLUGIN, HEAVY]


@pytest.mark.parametrize("kfl", ['method == "x" || is_bot()', "!(http && is_bot())"])
def test_the_dearest_part_decides(kfl: str) -> None:
    assert rank(kfl) == PLUGIN


@pytest.mark.parametrize(
    ("kfl", "names"),
    [
        ("http && status_code == 200", set()),
        ('http && request.headers["a"] == "b"', {"request.headers"}),
        ('field("request.method") == "x"', {"field()"}),
        ('response_body.contains("x") || request_body != ""', {"request_body", "response_body"}),
    ],
)
def test_what_needs_the_full_entry(kfl: str, names: set[str]) -> None:
    assert heavy_names(compile_filter(kfl, now_ns=0).tree, VARIABLES) == names
