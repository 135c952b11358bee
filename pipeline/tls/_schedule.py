"""From secrets to keys: the PRF up to TLS 1.2 (RFC 2246 §5, RFC 5246 §5), HKDF of TLS 1.3 (RFC 5869, RFC 8446 §7)."""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["expand_label", "extract", "master_secret", "prf", "traffic_key"]

TLS12 = 0x0303


def prf(version: int, hash_name: str, secret: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """Return `size` bytes; before TLS 1.2 the hash is MD5 and SHA-1 together, whatever the suite names."""
    seed = label + seed
    if version >= TLS12:
        return _p_hash(hash_name, secret, seed, size)
    half = (len(secret) + 1) // 2
    md5, sha1 = _p_hash("md5", secret[:half], seed, size), _p_hash("sha1", secret[-half:], seed, size)
    return bytes(a ^ b for a, b in zip(md5, sha1, strict=True))


def _p_hash(hash_name: str, secret: bytes, seed: bytes, size: int) -> bytes:
    made, chained = b"", seed
    while len(made) < size:
        chained = hmac.digest(secret, chained, hash_name)
        made += hmac.digest(secret, chained + seed, hash_name)
    return made[:size]


def master_secret(
    version: int, hash_name: str, premaster: bytes, randoms: bytes, session_hash: bytes | None = None
) -> bytes:
    """Return the master secret (RFC 5246 §8.1); with a hash of the handshake the extended one (RFC 7627 §4)."""
    if session_hash is None:
        return prf(version, hash_name, premaster, b"master secret", randoms, 48)
    return prf(version, hash_name, premaster, b"extended master secret", session_hash, 48)


def extract(hash_name: str, salt: bytes, material: bytes) -> bytes:
    """HKDF-Extract (RFC 5869 §2.2)."""
    return hmac.digest(salt, material, hash_name)


def expand_label(hash_name: str, secret: bytes, label: bytes, size: int, context: bytes = b"") -> bytes:
    """HKDF-Expand-Label (RFC 8446 §7.1)."""
    label = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(label)]) + label + bytes([len(context)]) + context
    made, block = b"", b""
    for counter in range(1, -(-size // hashlib.new(hash_name).digest_size) + 1):
        block = hmac.digest(secret, block + info + bytes([counter]), hash_name)
        made += block
    return made[:size]


def traffic_key(hash_name: str, secret: bytes, key_size: int) -> tuple[bytes, bytes]:
    """Return (key, iv) of a traffic secret (RFC 8446 §7.3)."""
    return expand_label(hash_name, secret, b"key", key_size), expand_label(hash_name, secret, b"iv", 12)
