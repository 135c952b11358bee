"""Text from bytes that claim to be text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors._text import text


def test_text() -> None:
    assert [text(data) for data in (b"plain", "größe".encode(), b"gr\xf6\xdfe")] == ["plain", "größe", "größe"]


@given(st.binary())
def test_any_bytes_are_some_text(data: bytes) -> None:
    assert isinstance(text(data), str)
