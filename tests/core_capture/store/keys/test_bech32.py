"""Bech32 against BIP 173's vectors and against every single mistake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture.store.keys._bech32 import decode, encode


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("A12UEL5L", "a"), ("abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "abcdef"), ("?1ezyfcl", "?")],
)
def test_vectors_of_bip_173(text: str, prefix: str) -> None:
    assert encode(prefix, decode(text, prefix)) == text.lower()


@given(st.binary(max_size=64))
def test_round_trip(payload: bytes) -> None:
    assert decode(encode("age", payload), "age") == payload
    assert decode(encode("age", payload).upper(), "age") == payload


def test_every_mistyped_character_is_found() -> None:
    text = encode("age", bytes(range(32)))
    for at in range(len(text)):
        for wrong in "qp1b-é":
            if text[at] != wrong:
                with pytest.raises(ValueError, match=r"\w"):
                    decode(text[:at] + wrong + text[at + 1 :], "age")
        with pytest.raises(ValueError, match=r"\w"):
            decode(text[:at] + text[at + 1 :], "age")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "does not begin with age1"),
        ("age1", "checksum"),
        ("bge1qqqqqqqq", "does not begin with age1"),
        ("age1Qqqqqqqq", "mixes upper and lower case"),
        ("age1bqqqqqqq", "impossible character at position 5"),
    ],
)
def test_messages(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decode(text, "age")


def test_padding_must_be_short_and_zero() -> None:
    whole = encode("age", b"\xff")
    assert decode(whole, "age") == b"\xff"
    from kubeshark.core_capture.store.keys import _bech32

    for symbols in ([31, 31], [31, 28, 0]):  # bits left that are not zero; a whole symbol too many
        with pytest.raises(ValueError, match="padding"):
            _bech32._regroup(symbols, 5, 8, pad=False)
