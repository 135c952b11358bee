"""QUIC packets made by hand: protected as RFC 9001 §5 says, by the inverse of what is tested."""

from __future__ import annotations

from struct import pack

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kubeshark.pipeline.dissectors.security._quic_packet import InitialKeys

__all__ = ["crypto", "initial", "long_packet", "negotiation", "retry", "varint"]

V2 = 0x6B33_43CF


def varint(value: int) -> bytes:
    return bytes([value]) if value < 64 else pack(">H", 0x4000 | value)


def crypto(data: bytes, offset: int = 0) -> bytes:
    return b"\x06" + varint(offset) + varint(len(data)) + data


def long_packet(first: int, version: int, dcid: bytes, scid: bytes, rest: bytes) -> bytes:
    return bytes([first]) + pack(">I", version) + bytes([len(dcid)]) + dcid + bytes([len(scid)]) + scid + rest


def initial(
    keys: InitialKeys,
    payload: bytes,
    *,
    version: int = 1,
    dcid: bytes = b"",
    scid: bytes = b"",
    token: bytes = b"",
    number: int = 0,
    size: int = 0,
) -> bytes:
    """An Initial packet with a packet number of two bytes, its payload padded to `size`."""
    payload = payload.ljust(size, b"\0")
    kind = 1 if version == V2 else 0
    rest = varint(len(token)) + token + varint(2 + len(payload) + 16)
    header = long_packet(0xC1 | kind << 4, version, dcid, scid, rest) + pack(">H", number)
    nonce = (int.from_bytes(keys.iv, "big") ^ number).to_bytes(12, "big")
    packet = bytearray(header + AESGCM(keys.key).encrypt(nonce, payload, header))
    at = len(header) - 2
    mask = Cipher(algorithms.AES(keys.header), modes.ECB()).encryptor().update(bytes(packet[at + 4 : at + 20]))
    packet[0] ^= mask[0] & 0x0F
    packet[at] ^= mask[1]
    packet[at + 1] ^= mask[2]
    return bytes(packet)


def retry(version: int, dcid: bytes, scid: bytes, token: bytes) -> bytes:
    return long_packet(0xF0, version, dcid, scid, token + bytes(16))


def negotiation(dcid: bytes, scid: bytes, *versions: int) -> bytes:
    return long_packet(0x8A, 0, dcid, scid, b"".join(pack(">I", version) for version in versions))
