"""Bech32 (BIP 173), the spelling of age's recipients and identities. As age: without BIP 173's limit on length."""

from __future__ import annotations

from functools import reduce
from operator import xor

__all__ = ["decode", "encode"]

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_REMAINDERS = [
    reduce(xor, (generator for bit, generator in enumerate(_GENERATORS) if top >> bit & 1), 0) for top in range(32)
]
_CHECKSUM = 6  # characters


def encode(prefix: str, payload: bytes) -> str:
    """Return `prefix`1… in lower case."""
    symbols = _regroup(payload, 8, 5, pad=True)
    residue = _polymod([*_expand(prefix), *symbols, *bytes(_CHECKSUM)]) ^ 1
    checksum = [residue >> 5 * (_CHECKSUM - 1 - at) & 31 for at in range(_CHECKSUM)]
    return prefix + "1" + "".join(_ALPHABET[symbol] for symbol in [*symbols, *checksum])


def decode(text: str, prefix: str) -> bytes:
    """Return the payload; raise ValueError that says what is wrong, never quoting more than a character of `text`."""
    if text not in (text.lower(), text.upper()):
        raise ValueError("mixes upper and lower case")
    text = text.lower()
    head, separator, tail = text.rpartition("1")
    if not separator or head != prefix:
        raise ValueError(f"does not begin with {prefix}1")
    symbols = []
    for at, character in enumerate(tail, start=len(head) + 1):
        symbol = _ALPHABET.find(character)
        if symbol < 0:
            raise ValueError(f"has an impossible character at position {at + 1}")
        symbols.append(symbol)
    if len(symbols) < _CHECKSUM or _polymod([*_expand(prefix), *symbols]) != 1:
        raise ValueError("its checksum is wrong: a character is missing or mistyped")
    return bytes(_regroup(symbols[:-_CHECKSUM], 5, 8, pad=False))


def _expand(prefix: str) -> list[int]:
    return [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix)]


def _polymod(symbols: list[int]) -> int:
    residue = 1
    for symbol in symbols:
        top = residue >> 25
        residue = (residue & 0x1FFFFFF) << 5 ^ symbol ^ _REMAINDERS[top]
    return residue


def _regroup(values: bytes | list[int], width: int, to_width: int, *, pad: bool) -> list[int]:
    """Cut a string of `width`-bit values into `to_width`-bit ones; without `pad` the rest must be short and zero."""
    bits = count = 0
    out = []
    for value in values:
        bits = (bits << width | value) & 0xFFF  # at most 7 bits are left over from the value before
        count += width
        while count >= to_width:
            count -= to_width
            out.append(bits >> count & ((1 << to_width) - 1))
    rest = bits & ((1 << count) - 1)
    if pad and count:
        out.append(rest << (to_width - count))
    elif not pad and (count >= width or rest):
        raise ValueError("its padding is wrong")
    return out
