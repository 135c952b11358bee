"""QUIC packets with long headers, and the protection of Initial packets (RFC 9000 §17.2, RFC 9001 §5, RFC 9369).

Also drafts from 22 on, mvfst's and Google's versions of the same layout; the old Google layout is in _quic_google.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from kubeshark.pipeline.dissectors.security._quic_streams import skip_frame, varint
from kubeshark.pipeline.tls import Cursor, CutShort, expand_label, extract

__all__ = [
    "INITIAL",
    "RETRY",
    "VERSION_NEGOTIATION",
    "InitialKeys",
    "LongHeader",
    "crypto_frames",
    "initial_keys",
    "is_known_version",
    "read_headers",
    "unprotected",
]

INITIAL, ZERO_RTT, HANDSHAKE, RETRY = "Initial", "0-RTT", "Handshake", "Retry"
VERSION_NEGOTIATION = "Version Negotiation"
TYPES = (INITIAL, ZERO_RTT, HANDSHAKE, RETRY)
TYPES_V2 = (RETRY, INITIAL, ZERO_RTT, HANDSHAKE)  # RFC 9369 §3.2
V1, V2, V2_DRAFT = 0x0000_0001, 0x6B33_43CF, 0x709A_50C4
FIRST_DRAFT, LAST_DRAFT = 0xFF00_0016, 0xFF00_0022  # 22: the first with this layout
MVFST = 0xFACE_B000
GOOGLE = (0x5130_3530, 0x5430_3530, 0x5430_3531)  # Q050, T050, T051: long headers as in the drafts
MAX_CONNECTION_ID = 20
MAX_VERSIONS = 64

_SALTS = {
    "22": "7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a",
    "23": "c3eef712c72ebb5a11a7d2432bb46365bef9f502",
    "29": "afbfec289993d24c9e9786f19c6111e04390a899",
    "v1": "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
    "v2": "0dede3def700a6db819381be6e269dcbf9bd2ed9",
    "Q050": "504574efd066fe2f9d945cfcdbd3a7f0d3b56b45",
    "T050": "7ff579e5acd072915580304c43a2367c60488310",
    "T051": "7a4edef4e7ccee5fa4506c19124fc8ccda6e033d",
}


class LongHeader(Struct, frozen=True):
    """A packet with a long header; offsets in its datagram."""

    type: str
    version: int
    dcid: bytes
    scid: bytes
    start: int
    number: int  # where the packet number begins, protected
    end: int
    token: bytes = b""
    versions: tuple[int, ...] = ()  # of a Version Negotiation


class InitialKeys(NamedTuple):
    """Keys of one direction."""

    key: bytes
    iv: bytes
    header: bytes


def is_known_version(version: int) -> bool:
    return (
        version in (V1, V2, V2_DRAFT, *GOOGLE) or FIRST_DRAFT <= version <= LAST_DRAFT or version & 0xFFFF_FF00 == MVFST
    )


def read_headers(data: bytes) -> Iterator[LongHeader]:
    """Yield the packets with long headers that share a datagram; nothing for bytes that are none.

    The fixed bit is not looked at: ends may have agreed to send anything there (RFC 9287).
    """
    at = 0
    while at < len(data) and data[at] & 0x80:
        try:
            header = _read_header(data, at)
        except CutShort:
            return
        if header is None:
            return
        yield header
        at = header.end


def _read_header(data: bytes, at: int) -> LongHeader | None:
    cursor = Cursor(data, at)
    first, version = cursor.number(1), cursor.number(4)
    dcid = cursor.vector(1)
    scid = cursor.vector(1)
    if len(dcid) > MAX_CONNECTION_ID or len(scid) > MAX_CONNECTION_ID:
        return None
    if version == 0:
        rest = cursor.take(cursor.left)
        versions = tuple(int.from_bytes(rest[place : place + 4], "big") for place in range(0, len(rest) - 3, 4))
        if not versions or len(rest) % 4 or len(versions) > MAX_VERSIONS:
            return None
        return LongHeader(VERSION_NEGOTIATION, 0, dcid, scid, at, len(data), len(data), versions=versions)
    if not is_known_version(version):
        return None
    kind = (TYPES_V2 if version in (V2, V2_DRAFT) else TYPES)[first >> 4 & 3]
    if kind == RETRY:
        return LongHeader(kind, version, dcid, scid, at, len(data), len(data), token=cursor.take(cursor.left)[:-16])
    token = cursor.take(varint(cursor)) if kind == INITIAL else b""
    length = varint(cursor)
    return LongHeader(kind, version, dcid, scid, at, cursor.at, min(cursor.at + length, len(data)), token)


def initial_keys(version: int, dcid: bytes) -> tuple[InitialKeys, InitialKeys]:
    """Return the keys of (client, server) that follow from the client's first destination id (RFC 9001 §5.2)."""
    prefix = b"quicv2 " if version in (V2, V2_DRAFT) else b"quic "
    secret = extract("sha256", bytes.fromhex(_SALTS[_salt_of(version)]), dcid)
    client, server = (
        _keys(expand_label("sha256", secret, label, 32), prefix) for label in (b"client in", b"server in")
    )
    return client, server


def _keys(secret: bytes, prefix: bytes) -> InitialKeys:
    sizes = ((b"key", 16), (b"iv", 12), (b"hp", 16))
    return InitialKeys(*(expand_label("sha256", secret, prefix + name, size) for name, size in sizes))


def _salt_of(version: int) -> str:
    if version in (V2, V2_DRAFT):
        return "v2"
    if version in GOOGLE:
        return version.to_bytes(4, "big").decode("ascii")
    if version & 0xFFFF_FF00 == MVFST:
        return "22" if version == MVFST + 1 else "23" if version < MVFST + 0x10 else "29"
    if FIRST_DRAFT <= version <= LAST_DRAFT:
        draft = version & 0xFF
        return "22" if draft < 23 else "23" if draft < 29 else "29" if draft < 33 else "v1"
    return "v1"


def unprotected(data: bytes, header: LongHeader, keys: InitialKeys) -> bytes | None:
    """Remove header protection, then decrypt (RFC 9001 §5.4, §5.3); None if the packet does not authenticate."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sample = data[header.number + 4 : header.number + 20]
    if header.end - header.number < 20 or len(sample) < 16:
        return None
    encryptor = Cipher(algorithms.AES(keys.header), modes.ECB()).encryptor()  # noqa: S305 - RFC 9001 §5.4.3: one block
    mask = encryptor.update(sample)
    first = data[header.start] ^ mask[0] & 0x0F
    size = (first & 3) + 1
    numbered = bytes(a ^ b for a, b in zip(data[header.number : header.number + size], mask[1:], strict=False))
    clear = bytes([first]) + data[header.start + 1 : header.number] + numbered
    nonce = (int.from_bytes(keys.iv, "big") ^ int.from_bytes(numbered, "big")).to_bytes(12, "big")
    try:
        return AESGCM(keys.key).decrypt(nonce, data[header.number + size : header.end], clear)
    except (InvalidTag, ValueError):
        return None


def crypto_frames(payload: bytes, version: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, data) of the CRYPTO frames of an Initial packet (RFC 9000 §12.4, §19)."""
    cursor = Cursor(payload)
    crypto = (6, 8) if version in GOOGLE else (6,)
    try:
        while cursor.left:
            kind = cursor.number(1)
            if kind in crypto:
                offset, size = varint(cursor), varint(cursor)
                yield offset, cursor.take(size)
            elif not skip_frame(cursor, kind):  # CONNECTION_CLOSE is the last
                return
    except CutShort:
        return
