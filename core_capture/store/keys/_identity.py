"""Who may read a store: age identities (secret) and recipients (public), in age-keygen's file format.

An identity file never lies under a store: whoever copies a store must not get its key with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Struct

from kubeshark._durable import create_synced, make_folder
from kubeshark.core_capture.store.keys import _bech32
from kubeshark.core_capture.store.keys._passphrase import ask_passphrase, is_protected, protect, unprotect
from kubeshark.errors import StoreError, UsageError

__all__ = [
    "Identity",
    "Recipient",
    "create_identity",
    "identity_path",
    "load_identities",
    "parse_recipients",
    "write_secret",
]

_RECIPIENT_PREFIX = "age"
_IDENTITY_PREFIX = "age-secret-key-"
_MAX_FILE_BYTES = 1 << 20  # some 10,000 identities


class Recipient(Struct, frozen=True):
    """An X25519 public key, written age1…"""

    public: bytes  # 32 bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read age1…; raise UsageError that says what is wrong with it."""
        try:
            public = _bech32.decode(text.strip(), _RECIPIENT_PREFIX)
        except ValueError as error:
            raise UsageError(f"recipient {text.strip()[:80]!r} {error}", hint="it looks like age1…") from error
        if len(public) != 32:
            raise UsageError(f"recipient {text.strip()[:80]!r} is not an X25519 key")
        return cls(public)

    def __str__(self) -> str:
        return _bech32.encode(_RECIPIENT_PREFIX, self.public)


@dataclass(frozen=True, slots=True)
class Identity:
    """An X25519 secret key. Its repr shows the public half only."""

    key: X25519PrivateKey = field(repr=False)
    recipient: Recipient

    @classmethod
    def from_key(cls, key: X25519PrivateKey) -> Self:
        return cls(key, Recipient(key.public_key().public_bytes_raw()))

    @classmethod
    def generate(cls) -> Self:
        """Make a new one, in memory only."""
        return cls.from_key(X25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read AGE-SECRET-KEY-1…; raise ValueError that does not quote it."""
        secret = _bech32.decode(text, _IDENTITY_PREFIX)
        if len(secret) != 32:
            raise ValueError("is not an X25519 key")
        return cls.from_key(X25519PrivateKey.from_private_bytes(secret))

    def secret(self) -> str:
        """Return AGE-SECRET-KEY-1…"""
        return _bech32.encode(_IDENTITY_PREFIX, self.key.private_bytes_raw()).upper()


def identity_path() -> Path:
    """Return $KUBESHARK_IDENTITY, by default ~/.kubeshark/identity.age."""
    named = os.environ.get("KUBESHARK_IDENTITY", "")
    return Path(named).expanduser() if named else Path.home() / ".kubeshark" / "identity.age"


def create_identity(path: Path | None = None, passphrase: str = "") -> Identity:
    """Make a new identity and write it to `path` (mode 0600, a new folder 0700); never replaces a file.

    With a passphrase the file is encrypted, as `age -p` would.
    """
    path = path or identity_path()
    identity = Identity.generate()
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    content = f"# created: {created}\n# public key: {identity.recipient}\n{identity.secret()}\n".encode()
    write_secret(path, protect(content, passphrase) if passphrase else content)
    return identity


def load_identities(path: Path | None = None) -> tuple[Identity, ...]:
    """Read all identities of a file; raise StoreError naming the file and line of what is not one.

    If it is encrypted, the passphrase is read from $KUBESHARK_PASSPHRASE_FILE or asked for on the terminal.
    """
    path = path or identity_path()
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise StoreError(f"no identity at {path}", hint="set KUBESHARK_IDENTITY to the file that holds it") from error
    except OSError as error:
        raise StoreError(f"cannot read the identity {path}: {error.strerror}") from error
    if len(content) > _MAX_FILE_BYTES:
        raise StoreError(f"{path} is no identity file: it is larger than {_MAX_FILE_BYTES:,} bytes")
    if is_protected(content):
        content = unprotect(content, lambda: ask_passphrase(path), str(path))
    identities = []
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            identities.append(Identity.parse(line))
        except ValueError as error:
            raise StoreError(f"{path}, line {number}: the identity {error}") from error
    if not identities:
        raise StoreError(f"{path} holds no identity", hint="it should have a line AGE-SECRET-KEY-1…")
    return tuple(identities)


def parse_recipients(texts: Iterable[str]) -> tuple[Recipient, ...]:
    """Read recipients, dropping repetitions; raise UsageError for the first that is none."""
    return tuple(dict.fromkeys(Recipient.parse(text) for text in texts))


def write_secret(path: Path, content: bytes) -> None:
    """Create `path` with mode 0600, lasting and as a whole; raise StoreError if it exists or cannot be written."""
    try:
        make_folder(path.parent)
        create_synced(path, content)
    except FileExistsError as error:
        raise StoreError(f"{path} exists already", hint="a key is never replaced: name another file") from error
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
