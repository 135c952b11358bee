"""Record protection: a key and a sequence number open one record (RFC 5246 §6.2.3, RFC 7366, RFC 8446 §5.2)."""

from __future__ import annotations

import hmac
from struct import pack
from typing import Any, Protocol

from msgspec import Struct

from kubeshark.pipeline.tls._suites import SUITES

__all__ = ["Opener", "Refused", "Suite", "legacy_opener", "suite_of", "tls13_opener"]

TLS11 = 0x0302
TAG = 16


class Refused(Exception):
    """A record does not authenticate with this key and sequence number."""


class Opener(Protocol):
    overhead: int
    """Bytes that a record has more than its contents, at least."""

    survives_loss: bool
    """Records behind a lost one may open: not so with RC4."""

    def open(self, sequence: int, header: bytes, body: bytes) -> tuple[int, bytes]:
        """Return (content type, contents) of a record with this header of five bytes; raise Refused.

        A refusal has no consequences, unless this does not survive loss: another sequence number may be tried.
        """
        ...

    def skip(self, body: bytes) -> None:
        """Pass over a record that does not open."""
        ...


class Suite(Struct, frozen=True):
    """What a cipher suite's name says about its records."""

    cipher: str  # AES_128_GCM
    kind: str  # aead, cbc, stream, null
    key_size: int
    iv_size: int  # of the implicit part of an AEAD's nonce; of a block
    tag_size: int
    mac_hash: str  # of the HMAC of records, "" for AEADs
    prf_hash: str


AEADS = {  # key, implicit nonce before TLS 1.3, tag
    "AES_128_GCM": (16, 4, TAG),
    "AES_256_GCM": (32, 4, TAG),
    "AES_128_CCM": (16, 4, TAG),
    "AES_256_CCM": (32, 4, TAG),
    "AES_128_CCM_8": (16, 4, 8),
    "AES_256_CCM_8": (32, 4, 8),
    "CHACHA20_POLY1305": (32, 12, TAG),
}
BLOCKS = {  # key, block
    "AES_128_CBC": (16, 16),
    "AES_256_CBC": (32, 16),
    "3DES_EDE_CBC": (24, 8),
    "CAMELLIA_128_CBC": (16, 16),
    "CAMELLIA_256_CBC": (32, 16),
    "SEED_CBC": (16, 16),
    "IDEA_CBC": (16, 8),
}
HASHES = {"MD5": "md5", "SHA": "sha1", "SHA256": "sha256", "SHA384": "sha384"}


def suite_of(number: int) -> Suite | None:
    """Return the parameters of a cipher suite; None for one that cannot be opened here."""
    name = SUITES.get(number, "")
    cipher, _, hash_name = name.removeprefix("TLS_").rpartition("WITH_")[2].rpartition("_")
    if hash_name not in HASHES:  # CCM suites of TLS 1.2 name no hash
        cipher, hash_name = f"{cipher}_{hash_name}", "SHA256"
    prf_hash = "sha384" if hash_name == "SHA384" else "sha256"
    if cipher in AEADS:
        key, iv, tag = AEADS[cipher]
        return Suite(cipher, "aead", key, iv, tag, "", prf_hash)
    if cipher in BLOCKS:
        key, block = BLOCKS[cipher]
        return Suite(cipher, "cbc", key, block, 0, HASHES[hash_name], prf_hash)
    if cipher in ("RC4_128", "NULL") and number:
        return Suite(cipher, "stream", 16 if cipher == "RC4_128" else 0, 0, 0, HASHES[hash_name], prf_hash)
    return None


def tls13_opener(suite: Suite, key: bytes, iv: bytes, *, with_header: bool = True) -> Opener:
    """Return the opener of a direction of TLS 1.3; drafts before 25 authenticated no header."""
    return _Aead13(suite, key, iv, with_header)


def legacy_opener(
    suite: Suite, version: int, mac_key: bytes, key: bytes, iv: bytes, *, encrypt_then_mac: bool
) -> Opener:
    """Return the opener of a direction of TLS 1.0 to 1.2."""
    if suite.kind == "aead":
        return _Aead12(suite, key, iv)
    if suite.kind == "cbc":
        return _Cbc(suite, version, mac_key, key, iv, encrypt_then_mac)
    return _Stream(suite, mac_key, key)


def _aead(suite: Suite, key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers import aead  # loaded when there are keys

    if suite.cipher.startswith("CHACHA20"):
        return aead.ChaCha20Poly1305(key)
    if "_CCM" in suite.cipher:
        return aead.AESCCM(key, suite.tag_size)
    return aead.AESGCM(key)


def _unsealed(cipher: Any, nonce: bytes, body: bytes, header: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        opened: bytes = cipher.decrypt(nonce, body, header)
    except (InvalidTag, ValueError) as error:
        raise Refused from error
    return opened


def _xored(iv: bytes, sequence: int) -> bytes:
    return (int.from_bytes(iv, "big") ^ sequence).to_bytes(len(iv), "big")


class _Aead13:
    """RFC 8446 §5.2: the content type lies behind the contents, before zeros."""

    survives_loss = True

    def __init__(self, suite: Suite, key: bytes, iv: bytes, with_header: bool) -> None:
        self.overhead = suite.tag_size + 1
        self._iv = iv
        self._cipher = _aead(suite, key)
        self._with_header = with_header

    def open(self, sequence: int, header: bytes, body: bytes) -> tuple[int, bytes]:
        opened = _unsealed(self._cipher, _xored(self._iv, sequence), body, header if self._with_header else b"")
        contents = opened.rstrip(b"\0")
        return (contents[-1], contents[:-1]) if contents else (0, b"")

    def skip(self, body: bytes) -> None:
        pass


class _Aead12:
    """RFC 5288 §3, RFC 6655 §3: an explicit part of the nonce before the contents; RFC 7905 §2: none."""

    survives_loss = True

    def __init__(self, suite: Suite, key: bytes, iv: bytes) -> None:
        self._explicit = 0 if suite.iv_size == 12 else 8
        self._tag = suite.tag_size
        self.overhead = self._explicit + self._tag
        self._iv = iv
        self._cipher = _aead(suite, key)

    def open(self, sequence: int, header: bytes, body: bytes) -> tuple[int, bytes]:
        if len(body) < self.overhead:
            raise Refused
        nonce = self._iv + body[:8] if self._explicit else _xored(self._iv, sequence)
        checked = pack(">Q", sequence) + header[:3] + pack(">H", len(body) - self.overhead)
        return header[0], _unsealed(self._cipher, nonce, body[self._explicit :], checked)

    def skip(self, body: bytes) -> None:
        pass


class _Cbc:
    """RFC 5246 §6.2.3.2, RFC 2246 §6.2.3.2 (the IV is the last block before), RFC 7366 (encrypt-then-MAC)."""

    survives_loss = True

    def __init__(
        self, suite: Suite, version: int, mac_key: bytes, key: bytes, iv: bytes, encrypt_then_mac: bool
    ) -> None:
        self._is_chained = version < TLS11
        self._block = suite.iv_size
        self._mac_key, self._hash = mac_key, suite.mac_hash
        self._mac_size = len(mac_key)
        self.overhead = self._mac_size + 1 + (0 if self._is_chained else self._block)
        self._algorithm = _block_cipher(suite, key)
        self._iv = iv
        self._encrypt_then_mac = encrypt_then_mac

    def open(self, sequence: int, header: bytes, body: bytes) -> tuple[int, bytes]:
        sealed = body
        if self._encrypt_then_mac:
            sealed = body[: -self._mac_size]
            self._check(sequence, header, sealed, body[-self._mac_size :])
        iv, encrypted = (self._iv, sealed) if self._is_chained else (sealed[: self._block], sealed[self._block :])
        if len(iv) < self._block or not encrypted or len(encrypted) % self._block:
            raise Refused
        opened = _block_decrypted(self._algorithm, iv, encrypted)
        padding = opened[-1] + 1
        if padding > len(opened) or opened[-padding:] != bytes([padding - 1]) * padding:
            raise Refused
        contents = opened[:-padding]
        if not self._encrypt_then_mac:
            if len(contents) < self._mac_size:
                raise Refused
            contents, mac = contents[: -self._mac_size], contents[-self._mac_size :]
            self._check(sequence, header, contents, mac)
        self.skip(body)
        return header[0], contents

    def skip(self, body: bytes) -> None:
        sealed = body[: -self._mac_size] if self._encrypt_then_mac else body
        if self._is_chained and len(sealed) >= self._block:
            self._iv = sealed[-self._block :]

    def _check(self, sequence: int, header: bytes, data: bytes, mac: bytes) -> None:
        if not hmac.compare_digest(_mac(self._mac_key, self._hash, sequence, header, data), mac):
            raise Refused


class _Stream:
    """RC4, or no encryption at all, with a MAC (RFC 5246 §6.2.3.1)."""

    def __init__(self, suite: Suite, mac_key: bytes, key: bytes) -> None:
        self.overhead = len(mac_key)
        self.survives_loss = not key
        self._mac_key, self._hash = mac_key, suite.mac_hash
        self._cipher = _rc4(key) if key else None

    def open(self, sequence: int, header: bytes, body: bytes) -> tuple[int, bytes]:
        opened: bytes = self._cipher.update(body) if self._cipher else body
        contents, mac = opened[: -self.overhead], opened[-self.overhead :]
        if not hmac.compare_digest(_mac(self._mac_key, self._hash, sequence, header, contents), mac):
            raise Refused
        return header[0], contents

    def skip(self, body: bytes) -> None:
        pass


def _mac(key: bytes, hash_name: str, sequence: int, header: bytes, data: bytes) -> bytes:
    return hmac.digest(key, pack(">Q", sequence) + header[:3] + pack(">H", len(data)) + data, hash_name)


def _block_cipher(suite: Suite, key: bytes) -> Any:
    from cryptography.hazmat.decrepit.ciphers import algorithms as old
    from cryptography.hazmat.primitives.ciphers import algorithms

    if suite.cipher.startswith("AES"):
        return algorithms.AES(key)
    kinds: dict[str, Any] = {"3DES_EDE": old.TripleDES, "CAMELLIA": old.Camellia, "SEED": old.SEED, "IDEA": old.IDEA}
    return next(kind for name, kind in kinds.items() if suite.cipher.startswith(name))(key)


def _block_decrypted(algorithm: Any, iv: bytes, data: bytes) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    try:
        decryptor = Cipher(algorithm, modes.CBC(iv)).decryptor()
    except UnsupportedAlgorithm as error:
        raise Refused from error
    return decryptor.update(data) + decryptor.finalize()


def _rc4(key: bytes) -> Any:
    from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
    from cryptography.hazmat.primitives.ciphers import Cipher

    return Cipher(ARC4(key), None).decryptor()
