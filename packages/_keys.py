"""Ed25519 keys of authors, and the detached signature beside a package.

    fruit-1.0.0.ksp         the package
    fruit-1.0.0.ksp.sig     JSON: whose key, of which plugin, version and digest, and the signature of these three

The private key is a PEM file (PKCS #8), as `openssl genpkey -algorithm ed25519` writes it. A public key is written
`ed25519:` and 32 bytes in base64. What is signed names its purpose, so that no signature of anything else fits.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from kubeshark.errors import PluginRejected, UsageError

__all__ = [
    "MAX_SIGNATURE_BYTES",
    "SIGNATURE_SUFFIX",
    "Signature",
    "create_key",
    "load_key",
    "parse_public_key",
    "parse_signature",
    "public_key",
    "sign",
    "signing_key_path",
    "verify",
]

SIGNATURE_SUFFIX = ".sig"
MAX_SIGNATURE_BYTES = 4096
MAX_KEY_BYTES = 16 << 10
_PREFIX = "ed25519:"
_PURPOSE = "kubeshark plugin package, signature format 1"


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a .sig file says; nothing in it is true before `verify`."""

    id: str
    version: str
    digest: str  # of the contents, in hexadecimal
    key: str
    signature: str  # base64
    format: Literal[1] = 1

    def to_bytes(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def signing_key_path() -> Path:
    """Return $KUBESHARK_SIGNING_KEY, else ~/.kubeshark/signing.pem."""
    named = os.environ.get("KUBESHARK_SIGNING_KEY")
    return Path(named) if named else Path.home() / ".kubeshark" / "signing.pem"


def create_key(path: Path) -> Ed25519PrivateKey:
    """Make a key file, mode 0600; an existing file is never replaced (UsageError)."""
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise UsageError(f"{path} exists already", hint="a key is never replaced: name another file") from error
    with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor)
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    return key


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key; UsageError says what is wrong with the file, never what is in it."""
    if path.stat().st_size > MAX_KEY_BYTES:
        raise UsageError(f"{path} is no key file: it is too large")
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except TypeError as error:
        raise UsageError(f"{path} has a passphrase", hint="sign with a key file that has none") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is not a private key in PEM form") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is not an Ed25519 key", hint="make one: openssl genpkey -algorithm ed25519")
    return key


def public_key(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """Return a key as text: `ed25519:…`."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return _PREFIX + base64.b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def parse_public_key(text: str) -> str:
    """Check a public key: as `public_key` writes it, or PEM; return the former. UsageError otherwise."""
    text = text.strip()
    if text.startswith("-----BEGIN PUBLIC KEY-----"):
        try:
            key = load_pem_public_key(text.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise UsageError("this is not a public key in PEM form") from error
        if isinstance(key, Ed25519PublicKey):
            return public_key(key)
    elif text.startswith(_PREFIX) and (raw := _base64(text.removeprefix(_PREFIX), 32)):
        return _PREFIX + base64.b64encode(raw).decode()
    raise UsageError(f"{text[:60]!r} is not an Ed25519 public key", hint=f"it looks like {_PREFIX}vD5c…=")


def sign(key: Ed25519PrivateKey, plugin: str, version: str, digest: str) -> Signature:
    """Sign a package by its id, version and digest."""
    return Signature(
        plugin,
        version,
        digest,
        public_key(key),
        base64.b64encode(key.sign(_message(plugin, version, digest))).decode(),
    )


def parse_signature(data: bytes, plugin: str) -> Signature:
    """Read a .sig file; PluginRejected if it is none."""
    try:
        found = msgspec.json.decode(data[:MAX_SIGNATURE_BYTES], type=Signature)
        return msgspec.structs.replace(found, key=parse_public_key(found.key))
    except (msgspec.DecodeError, UsageError) as error:
        raise PluginRejected(
            f"its signature file cannot be read: {error}", plugin=plugin, hint="get package and signature again"
        ) from error


def verify(signature: Signature, plugin: str, version: str, digest: str) -> None:
    """Raise PluginRejected unless this is the signature of exactly this plugin, by the key it names."""
    said = (signature.id, signature.version, signature.digest)
    if said != (plugin, version, digest):
        what = f"{signature.id[:64]} {signature.version[:64]}" if said[:2] != (plugin, version) else "other contents"
        raise PluginRejected(
            f"its signature is one of {what}", plugin=plugin, hint="get package and signature again from their author"
        )
    raw = _base64(signature.signature, 64) or b""  # which is no signature
    key = _base64(signature.key.removeprefix(_PREFIX), 32) or b""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(raw, _message(plugin, version, digest))
    except (InvalidSignature, ValueError) as error:
        raise PluginRejected(
            "its signature is wrong", plugin=plugin, hint="get package and signature again from their author"
        ) from error


def _message(plugin: str, version: str, digest: str) -> bytes:
    return f"{_PURPOSE}\nid {plugin}\nversion {version}\nsha256 {digest}\n".encode()


def _base64(text: str, size: int) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == size else None
