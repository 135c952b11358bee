"""What writer and reader of age v1 agree on (https://age-encryption.org/v1): chunks, and how a header keeps the key.

Other recipient types (scrypt, plugins) are skipped while looking for an X25519 one of ours, as the specification asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from msgspec import Struct

from kubeshark.core_capture.store.keys._age_header import (
    Header,
    Stanza,
    decode64,
    derive,
    encode64,
    format_header,
    parse_header,
)
from kubeshark.core_capture.store.keys._identity import Identity, Recipient
from kubeshark.errors import Damaged, StoreError

__all__ = [
    "CHUNK",
    "NONCE",
    "SEALED_CHUNK",
    "TAG",
    "AgeHeader",
    "NotForUsError",
    "Tail",
    "chunk_nonce",
    "make_header",
    "payload_id",
    "read_header",
    "sealed_size",
]

CHUNK = 1 << 16  # plaintext bytes of every chunk but the last
TAG = 16
SEALED_CHUNK = CHUNK + TAG  # as it lies in the file
NONCE = 16
_X25519 = b"age-encryption.org/v1/X25519"
_ZERO_NONCE = bytes(12)


class NotForUsError(StoreError):
    """None of the identities opens `file`."""

    def __init__(self, file: str) -> None:
        self.file = file
        super().__init__(f"{file} is encrypted to other recipients")


@dataclass(frozen=True, slots=True)
class Tail:
    """What is known of an age file from elsewhere: its plaintext's size, its last tag, and maybe its file key."""

    size: int
    tag: bytes
    file_key: bytes = field(default=b"", repr=False)
    nonce: bytes = b""  # of the payload


class AgeHeader(Struct, frozen=True):
    file_key: bytes
    length: int  # bytes up to and including the MAC line


def sealed_size(size: int) -> int:
    """Return the bytes of a payload of so many plaintext bytes."""
    return size + max(-(-size // CHUNK), 1) * TAG


def payload_id(file_key: bytes, nonce: bytes) -> str:
    """Name a payload for who opened it (hex): only who has its file key can make another of this name."""
    return derive(file_key, nonce, b"kubeshark payload").hex()


def chunk_nonce(chunk: int, *, last: bool) -> bytes:
    return chunk.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def make_header(file_key: bytes, recipients: Sequence[Recipient]) -> bytes:
    if not recipients:
        raise StoreError("nothing can be encrypted without a recipient", hint="run kubeshark keys new")
    return format_header(file_key, (_wrap(file_key, recipient) for recipient in recipients))


def _wrap(file_key: bytes, recipient: Recipient) -> Stanza:
    ephemeral = X25519PrivateKey.generate()
    share = ephemeral.public_key().public_bytes_raw()
    secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient.public))
    cipher = ChaCha20Poly1305(derive(secret, share + recipient.public, _X25519))
    return Stanza((b"X25519", encode64(share)), cipher.encrypt(_ZERO_NONCE, file_key, None))


def read_header(data: bytes, identities: Sequence[Identity], name: str) -> AgeHeader:
    """Parse and authenticate a header; `data` is the file's beginning, at least the header if it is one."""
    header = parse_header(data, name)
    file_key = _find_file_key(header, identities)
    header.check(file_key)
    return AgeHeader(file_key, header.length)


def _find_file_key(header: Header, identities: Sequence[Identity]) -> bytes:
    for stanza in header.stanzas:
        if stanza.arguments[0] != b"X25519":
            continue
        share = decode64(stanza.arguments[1]) if len(stanza.arguments) == 2 else None
        if share is None or len(share) != 32 or len(stanza.body) != 32:
            raise Damaged("its header has a malformed X25519 recipient", file=header.name)
        for identity in identities:
            file_key = _unwrap(share, stanza.body, identity)
            if file_key is not None:
                return file_key
    raise NotForUsError(header.name)


def _unwrap(share: bytes, body: bytes, identity: Identity) -> bytes | None:
    try:
        secret = identity.key.exchange(X25519PublicKey.from_public_bytes(share))
        wrap = ChaCha20Poly1305(derive(secret, share + identity.recipient.public, _X25519))
        return wrap.decrypt(_ZERO_NONCE, body, None)
    except (InvalidTag, ValueError):  # ValueError: a share of low order, which yields a secret of zeros
        return None
