"""Files of names: what they say, and where they are wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kubeshark.errors import UsageError
from kubeshark.pipeline.names._name_file import merge_names, parse_names

GOOD = b"""
- kind: pod
  name: cart-1
  namespace: shop
  addresses: [10.0.0.4, "fd00:0::6"]
  labels: {app: cart}
  since: 1970-01-01T00:00:05Z
  until: 1970-01-01T00:00:09Z
- {name: db.example.com, addresses: 192.0.2.7}
"""


def test_what_it_says() -> None:
    pod, host = parse_names(GOOD, "x", 0)
    assert (pod.kind, pod.addresses, pod.labels) == ("pod", ("10.0.0.4", "fd00::6"), {"app": "cart"})
    assert (pod.since_ns, pod.until_ns) == (5 * 10**9, 9 * 10**9)
    assert (host.kind, host.name, host.addresses, host.since_ns, host.until_ns) == (
        *("host", "db.example.com", ("192.0.2.7",), 0, None),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"name: x", "a list of names"),
        (b"- x", "expected name, addresses"),
        (b"- {name: x}", "addresses is missing"),
        (b"- {addresses: [10.0.0.1]}", "name is missing"),
        (b"- {name: x, addresses: [10.0.0.256]}", "'10.0.0.256' is no address"),
        (b"- {name: x, address: 10.0.0.1}", "unknown key 'address'"),
        (b"- {name: x, addresses: [10.0.0.1], kind: host port}", "Invalid enum value"),
        (b"- {name: x, addresses: [10.0.0.1], since: soon}", "soon"),
        (b"- {name: x, addresses: [10.0.0.1], until: 1960-01-01T00:00:00Z}", "ends before it begins"),
        (b"- {name: x, addresses: [10.0.0.1], labels: [a]}", "NAME: VALUE"),
        (b"- {name: [x], addresses: [10.0.0.1]}", "expected a text"),
    ],
)
def test_what_is_wrong_with_it(text: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=r"names\.yaml") as caught:
        parse_names(b"\n" + text, "names.yaml", 0)
    assert said in str(caught.value)
    assert "names.yaml:2:" in str(caught.value)


def test_a_file_that_is_added_again() -> None:
    known = parse_names(GOOD, "x", 0)
    changed = parse_names(GOOD.replace(b"app: cart", b"app: basket"), "x", 0)
    assert [record.labels for record in merge_names(known, changed)] == [{"app": "basket"}, {}]


def test_the_example_of_the_documentation(root: Path) -> None:
    text = (root / "docs/names.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert [each.kind for each in parse_names(example.encode(), "names.md", 0)] == ["pod", "service", "host"]
