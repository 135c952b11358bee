"""JSON as text that can be written, whatever its strings hold."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from kubeshark._json import json_text

TEXT = st.text(st.characters(codec="utf-8") | st.characters(categories=["Cs"]))


@given(st.recursive(st.none() | st.integers() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))
def test_any_value_comes_back(value: object) -> None:
    text = json_text(value)
    assert json.loads(text.encode()) == json.loads(json.dumps(value))  # two halves are one
    assert "\n" not in text


def test_half_a_surrogate_pair_stays_escaped() -> None:
    assert json_text({"a": "\ud800é"}) == r'{"a":"\ud800\u00e9"}'
    assert json_text({"a": "é"}) == '{"a":"é"}'
