"""An author's Ed25519 key: a PEM file (PKCS #8), as `openssl genpkey -algorithm ed25519 [-aes256]` writes it."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from kubeshark.errors import UsageError
from kubeshark.packages._signature import KEY_PREFIX, Signature, parse_public_key, signed_text

__all__ = ["create_key", "load_key", "public_key", "read_public_key", "sign", "signing_key_path"]

MAX_KEY_BYTES = 16 << 10


def signing_key_path() -> Path:
    """Return $KUBESHARK_SIGNING_KEY, else ~/.kubeshark/signing.pem."""
    named = os.environ.get("KUBESHARK_SIGNING_KEY")
    return Path(named) if named else Path.home() / ".kubeshark" / "signing.pem"


def create_key(path: Path, passphrase: str = "") -> Ed25519PrivateKey:
    """Make a key file, mode 0600, and .pub beside it; an existing key is never replaced (UsageError).

    With a passphrase the file is encrypted (PKCS #8, AES-256): `openssl pkey` opens it.
    """
    protection = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise UsageError(f"{path} exists already", hint="a key is never replaced: name another file") from error
    with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor)
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
        file.flush()
        os.fsync(file.fileno())
    path.with_suffix(".pub").write_text(public_key(key) + "\n")
    return key


def load_key(path: Path, ask_passphrase: Callable[[Path], str] | None = None) -> Ed25519PrivateKey:
    """Read a private key; UsageError says what is wrong with the file, never what is in it.

    `ask_passphrase` is asked if the key has one.
    """
    if path.stat().st_size > MAX_KEY_BYTES:
        raise UsageError(f"{path} is no key file: it is too large")
    pem = path.read_bytes()
    passphrase = ask_passphrase(path).encode() if ask_passphrase and _is_encrypted(pem) else None
    try:
        key = load_pem_private_key(pem, passphrase)
    except TypeError as error:  # it is encrypted, and nobody was asked
        hint = "name a file that holds it in KUBESHARK_PASSPHRASE_FILE"
        raise UsageError(f"{path} has a passphrase", hint=hint) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if passphrase:
            raise UsageError(f"wrong passphrase for {path}, or not a private key in PEM form") from error
        raise UsageError(f"{path} is not a private key in PEM form") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is not an Ed25519 key", hint="make one: openssl genpkey -algorithm ed25519")
    return key


def _is_encrypted(pem: bytes) -> bool:
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem or b"\nProc-Type: 4,ENCRYPTED" in pem


def public_key(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """Return a key as text: `ed25519:…`."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return KEY_PREFIX + base64.b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def read_public_key(text: str) -> str:
    """Return a public key in its one form, from that form or from PEM; UsageError for what is neither."""
    if not text.strip().startswith("-----BEGIN PUBLIC KEY-----"):
        return parse_public_key(text)
    try:
        key = load_pem_public_key(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError("this is not a public key in PEM form") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError("this is not an Ed25519 key", hint="make one: openssl genpkey -algorithm ed25519")
    return public_key(key)


def sign(key: Ed25519PrivateKey, plugin: str, version: str, digest: str) -> Signature:
    """Sign a package by its id, version and digest."""
    return Signature(
        plugin,
        version,
        digest,
        public_key(key),
        base64.b64encode(key.sign(signed_text(plugin, version, digest))).decode(),
    )
