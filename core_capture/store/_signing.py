"""The node's signing key: says which node wrote a segment, since anybody can encrypt to a recipient."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from kubeshark.core_capture.store._identity import identity_path, write_secret
from kubeshark.errors import StoreError

__all__ = ["SIGNATURE_BYTES", "NodeKey", "is_signed"]

SIGNATURE_BYTES = 64
_FILE = "node.key"
_MAX_FILE_BYTES = 1 << 16


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
        """Read the key beside the identity (PKCS #8, PEM), None if there is none; raise StoreError if it is no key."""
        path = path or _default_path()
        try:
            with path.open("rb") as file:
                key = load_pem_private_key(file.read(_MAX_FILE_BYTES), password=None)
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
        path = path or _default_path()
        found = cls.load(path)
        if found is None:
            found = cls.generate()
            write_secret(path, found.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return found

    def sign(self, content: bytes) -> bytes:
        return self.key.sign(content)


def is_signed(content: bytes | memoryview, signature: bytes, public: str) -> bool:
    """Say whether the holder of `public` (hex) signed `content`."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(signature, bytes(content))
    except (InvalidSignature, ValueError):
        return False
    return True


def _default_path() -> Path:
    return identity_path().parent / _FILE
