"""Addresses in filters, and lower()."""

from __future__ import annotations

import pytest

from kubeshark.pipeline.kfl._network import address, ascii_lower, in_cidr, is_private
from kubeshark.pipeline.kfl._values import EvaluationError


@pytest.mark.parametrize(
    ("text", "cidr", "expected"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.9.9.9/8", True),  # host bits may be set
        ("2001:db8::1", "2001:db8::/32", True),
        ("10.1.2.3", "::/0", False),
        ("::ffff:10.1.2.3", "10.0.0.0/8", False),
        ("", "10.0.0.0/8", False),
        ("host", "10.0.0.0/8", False),
    ],
)
def test_in_cidr(text: str, cidr: str, expected: bool) -> None:
    assert in_cidr(text, cidr) is expected


@pytest.mark.parametrize("cidr", ["", "10.0.0.0/33", "10.0.0/8", "x", "1" * 10_000, "10.0.0.0/8/8"])
def test_what_is_no_network(cidr: str) -> None:
    with pytest.raises(EvaluationError, match="not a network"):
        in_cidr("10.0.0.1", cidr)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in ("10.0.0.0", "172.31.255.255", "192.168.0.1", "100.64.0.1", "127.0.0.1")),
        *((text, True) for text in ("169.254.1.1", "fc00::1", "::1", "fe80::1")),
        *((text, False) for text in ("172.32.0.0", "8.8.8.8", "2001:db8::1", "", "10.0.0", "::2")),
    ],
)
def test_is_private(text: str, expected: bool) -> None:
    assert is_private(text) is expected


def test_texts_that_are_too_long_are_not_parsed() -> None:
    assert address("1" * 100_000) is None


def test_lower_leaves_all_but_ascii_letters() -> None:
    assert ascii_lower("ABC-İÄ") == "abc-İÄ"
    assert ascii_lower("ABC") == "abc"
