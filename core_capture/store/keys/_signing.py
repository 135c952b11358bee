"""The node's signing key: says which node wrote a segment, since anybody can encrypt to a recipient."""

from __future__ import annotations

import binascii
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kubeshark.core_capture.store.keys._identity import identity_path, write_secret
from kubeshark.errors import Damaged, StoreError

__all__ = ["SIGNATURE_BYTES", "NodeKey", "decode_signed", "encode_signed", "is_signed", "node_key_path"]

T = TypeVar("T")

SIGNATURE_BYTES = 64
_FILE = "node.key"
_MAX_FILE_BYTES = 1 << 16
_PEM = re.compile(rb"-----BEGIN PRIVATE KEY-----\n([A-Za-z0-9+/]{64})\n-----END PRIVATE KEY-----\n")
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")  # before the 32 bytes of an Ed25519 key (RFC 8410 §7)


@dataclass(frozen=True, slots=True)
class NodeKey:
    """An Ed25519 key; `public` is its hex name in indexes and in store.json."""

    key: Ed25519PrivateKey = field(repr=False)
    public: str

    @classmethod
    def from_key(cls, key: Ed25519PrivateKey) -> Self:
        return cls(key, key.public_key().public_bytes_raw().hex())

    @classmethod
    def generate(cls) -> Self:
        """Make a new one, in memory only."""
        return cls.from_key(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path | None = None) -> Self | None:
        """Read $KUBESHARK_NODE_KEY, by default node.key beside the identity (PKCS #8, PEM); None if there is none.

        Raise StoreError if it is no key.
        """
        path = path or node_key_path()
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_FILE_BYTES)
            if (secret := _plain_secret(content)) is not None:
                return cls.from_key(Ed25519PrivateKey.from_private_bytes(secret))
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            key = load_pem_private_key(content, password=None)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise StoreError(f"cannot read the node's signing key {path}: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise StoreError(f"{path} holds no Ed25519 key")
        return cls.from_key(key)

    @classmethod
    def load_or_create(cls, path: Path | None = None) -> Self:
        """Read the key, or make it (mode 0600)."""
        path = path or node_key_path()
        found = cls.load(path)
        if found is None:
            from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

            found = cls.generate()
            write_secret(path, found.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return found

    def sign(self, content: bytes) -> bytes:
        return self.key.sign(content)


def _plain_secret(content: bytes) -> bytes | None:
    """Return the secret of a PEM file as `load_or_create` writes it, None for any other.

    What reads all kinds of keys takes 5 ms to load.
    """
    found = _PEM.fullmatch(content)
    if found is None:
        return None
    der = binascii.a2b_base64(found[1])
    return der[len(_PKCS8) :] if der.startswith(_PKCS8) and len(der) == len(_PKCS8) + 32 else None


def is_signed(content: bytes | memoryview, signature: bytes, public: str) -> bool:
    """Say whether the holder of `public` (hex) signed `content`."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(signature, bytes(content))
    except (InvalidSignature, ValueError):
        return False
    return True


class _Signed(msgspec.Struct):
    """A JSON document and who vouches for it; the signature is of the body's bytes as they stand."""

    public_key: str
    signature: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{2})*$")]
    body: msgspec.Raw


def encode_signed(body: object, key: NodeKey) -> bytes:
    """Return a document signed by this node."""
    content = msgspec.json.encode(body)
    return msgspec.json.encode(_Signed(key.public, key.sign(content).hex(), msgspec.Raw(content)))


def decode_signed(content: bytes, kind: type[T], file: str) -> tuple[T, str]:
    """Return (body, public key of who signed it, hex); raise Damaged. Whether it is trusted is for the caller."""
    try:
        signed = msgspec.json.decode(content, type=_Signed)
        body = msgspec.json.decode(signed.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(str(error), file=file) from error
    if not is_signed(bytes(signed.body), bytes.fromhex(signed.signature), signed.public_key):
        raise Damaged("is not signed by the node it names", file=file)
    return body, signed.public_key


def node_key_path() -> Path:
    """An identity may lie where nothing can be written, as a Secret of a cluster does."""
    named = os.environ.get("KUBESHARK_NODE_KEY", "")
    return Path(named).expanduser() if named else identity_path().parent / _FILE
