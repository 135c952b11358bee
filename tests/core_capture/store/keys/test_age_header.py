"""Headers: what is written is read again, and what is not canonical is refused. `test_age.py` has the age command."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture.store.keys._age_header import Stanza, decode64, encode64, format_header, parse_header
from kubeshark.errors import Damaged, StoreError

KEY = bytes(16)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_round_trip(bodies: list[bytes]) -> None:
    """Bodies of a full last line end with an empty one."""
    stanzas = tuple(Stanza((b"type", b"argument"), body) for body in bodies)
    made = format_header(KEY, stanzas)
    header = parse_header(made + b"payload", "f")
    assert (header.stanzas, header.length) == (stanzas, len(made))
    header.check(KEY)
    with pytest.raises(Damaged, match="fails its authentication"):
        header.check(os.urandom(16))


@given(st.binary(max_size=100))
def test_base64_has_one_spelling(data: bytes) -> None:
    assert decode64(encode64(data)) == data
    assert decode64(encode64(data) + b"=") is None
    assert decode64(encode64(data) + b"\n") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"age-encryption.org/v2\n",
        b"age-encryption.org/v1\n",
        b"age-encryption.org/v1\n-> X25519 a\n",
        b"age-encryption.org/v1\n-> X25519  a\nAAAA\n--- \n",
        b"age-encryption.org/v1\n-> X25519 a\nA===\n--- \n",
        b"age-encryption.org/v1\n-> X25519 a\n" + b"A" * 65 + b"\n--- \n",
        b"age-encryption.org/v1\n---\n",
    ],
)
def test_what_is_no_header(content: bytes) -> None:
    with pytest.raises(Damaged):
        parse_header(content, "f")


def test_a_header_has_an_end() -> None:
    with pytest.raises(StoreError, match="more recipients than a header holds"):
        format_header(KEY, [Stanza((b"x",), bytes(40_000))] * 2)
