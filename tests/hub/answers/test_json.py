"""An answer is valid UTF-8, whatever packets hold."""

from __future__ import annotations

import json

import pytest

from kubeshark.hub.answers._json import JsonAnswer


def test_half_a_surrogate_pair_stays_escaped() -> None:
    assert JsonAnswer({"a": "\ud800"}).body == b'{"a":"\\ud800"}'
    assert JsonAnswer({"a": "é"}).body == '{"a":"é"}'.encode()


def test_what_is_no_number_is_refused() -> None:
    for text in ("", "\ud800"):
        with pytest.raises(ValueError, match="JSON"):
            JsonAnswer({"a": json.loads("NaN"), "b": text})
