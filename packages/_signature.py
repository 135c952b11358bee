"""The detached signature beside a package: whose key, of which plugin, version and digest, and of these three.

    fruit-1.0.0.ksp         the package
    fruit-1.0.0.ksp.sig     the signature, in JSON

A public key is written `ed25519:` and 32 bytes in base64. What is signed names its purpose, so that no signature of
anything else fits. `cryptography` is imported where it is used: most commands load
plugins, few of them signed ones.
"""

from __future__ import annotations

import base64
import binascii
from typing import Literal

import msgspec

from kubeshark.errors import PluginRejected, UsageError

__all__ = [
    "KEY_PREFIX",
    "MAX_SIGNATURE_BYTES",
    "SIGNATURE_SUFFIX",
    "Signature",
    "parse_public_key",
    "parse_signature",
    "signed_text",
    "verify",
]

SIGNATURE_SUFFIX = ".sig"
MAX_SIGNATURE_BYTES = 4096
KEY_PREFIX = "ed25519:"
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


def parse_public_key(text: str) -> str:
    """Check a public key and return it in its one form; UsageError for what is none."""
    text = text.strip()
    if text.startswith(KEY_PREFIX) and (raw := _base64(text.removeprefix(KEY_PREFIX), 32)):
        return KEY_PREFIX + base64.b64encode(raw).decode()
    raise UsageError(f"{text[:60]!r} is not an Ed25519 public key", hint=f"it looks like {KEY_PREFIX}vD5c…=")


def parse_signature(data: bytes, plugin: str) -> Signature:
    """Read a .sig file; PluginRejected if it is none."""
    try:
        found = msgspec.json.decode(data[:MAX_SIGNATURE_BYTES], type=Signature)
        return msgspec.structs.replace(found, key=parse_public_key(found.key))
    except (msgspec.DecodeError, RecursionError, UsageError) as error:
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
    key = _base64(signature.key.removeprefix(KEY_PREFIX), 32) or b""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(raw, signed_text(plugin, version, digest))
    except (InvalidSignature, ValueError) as error:
        raise PluginRejected(
            "its signature is wrong", plugin=plugin, hint="get package and signature again from their author"
        ) from error


def signed_text(plugin: str, version: str, digest: str) -> bytes:
    return f"{_PURPOSE}\nid {plugin}\nversion {version}\nsha256 {digest}\n".encode()


def _base64(text: str, size: int) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == size else None
