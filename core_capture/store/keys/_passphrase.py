"""Identity files under a passphrase, as `age -p` writes and `age -d` reads them: age v1 with one scrypt recipient.

The passphrase comes from the file that $KUBESHARK_PASSPHRASE_FILE names, or from the terminal; never from a command
line, which other users see. Every command that reads a store looks here whether its identity is protected: what only
those that are need is imported there.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from kubeshark.core_capture.store.keys._age_header import (
    INTRO,
    Stanza,
    decode64,
    derive,
    encode64,
    format_header,
    parse_header,
)
from kubeshark.errors import Damaged, StoreError, UsageError

__all__ = ["ask_new_passphrase", "ask_passphrase", "is_protected", "protect", "unprotect"]

WORK_FACTOR = 18
"""log2 of scrypt's N, as age's: 256 MiB and about a second."""

MAX_WORK_FACTOR = 20
"""A file may ask for a GiB of memory, not more: who wrote it is not known before it was paid for."""

_SCRYPT = b"age-encryption.org/v1/scrypt"
_ARMOR = (b"-----BEGIN AGE ENCRYPTED FILE-----", b"-----END AGE ENCRYPTED FILE-----")
_CHUNK, _TAG, _NONCE = 1 << 16, 16, 16
_MAX_PASSPHRASE_BYTES = 4096


def is_protected(content: bytes) -> bool:
    """Say whether an identity file is an age file, binary or armored."""
    return content.startswith((INTRO, _ARMOR[0]))


def protect(plain: bytes, passphrase: str, work_factor: int = WORK_FACTOR) -> bytes:
    """Return `plain` as an age file that the passphrase opens."""
    file_key, salt, nonce = os.urandom(16), os.urandom(16), os.urandom(_NONCE)
    wrap = ChaCha20Poly1305(_stretch(passphrase, salt, work_factor))
    stanza = Stanza((b"scrypt", encode64(salt), b"%d" % work_factor), wrap.encrypt(bytes(12), file_key, None))
    cipher = ChaCha20Poly1305(derive(file_key, nonce, b"payload"))
    chunks = [plain[at : at + _CHUNK] for at in range(0, len(plain), _CHUNK)] or [b""]
    sealed = [cipher.encrypt(_chunk_nonce(n, last=n == len(chunks) - 1), chunk, None) for n, chunk in enumerate(chunks)]
    return format_header(file_key, [stanza]) + nonce + b"".join(sealed)


def unprotect(content: bytes, passphrase: Callable[[], str], name: str) -> bytes:
    """Return what an age file under a passphrase holds; raise StoreError or Damaged.

    `passphrase` is asked only when the file can be one that it opens.
    """
    content = _dearmor(content, name)
    header = parse_header(content, name)
    if [stanza.arguments[0] for stanza in header.stanzas] != [b"scrypt"]:
        raise StoreError(f"{name} is encrypted, but not under a passphrase", hint="decrypt it with age first")
    (stanza,) = header.stanzas
    salt = decode64(stanza.arguments[1]) if len(stanza.arguments) == 3 else None
    factor = stanza.arguments[2] if salt is not None else b""
    if salt is None or len(salt) != 16 or len(stanza.body) != 32 or not factor.isdigit() or factor.startswith(b"0"):
        raise Damaged("its passphrase recipient is malformed", file=name)
    if len(factor) > 2 or int(factor) > MAX_WORK_FACTOR:
        raise StoreError(f"{name} asks for a work factor above {MAX_WORK_FACTOR}", hint="write it anew with age -p")
    try:
        file_key = ChaCha20Poly1305(_stretch(passphrase(), salt, int(factor))).decrypt(bytes(12), stanza.body, None)
    except InvalidTag as error:
        raise StoreError(f"wrong passphrase for {name}") from error
    header.check(file_key)
    return _open_payload(content[header.length :], file_key, name)


def _open_payload(stored: bytes, file_key: bytes, name: str) -> bytes:
    cipher = ChaCha20Poly1305(derive(file_key, stored[:_NONCE], b"payload"))
    body = stored[_NONCE:]
    chunks = [body[at : at + _CHUNK + _TAG] for at in range(0, len(body), _CHUNK + _TAG)]
    try:
        plain = [
            cipher.decrypt(_chunk_nonce(n, last=n == len(chunks) - 1), chunk, None) for n, chunk in enumerate(chunks)
        ]
    except (InvalidTag, ValueError) as error:
        raise Damaged("a chunk fails its authentication", file=name) from error
    if not plain or (len(plain) > 1 and not plain[-1]):
        raise Damaged("is cut", file=name)
    return b"".join(plain)


def ask_passphrase(path: Path) -> str:
    """Return the passphrase of an identity file; raise StoreError where there is nobody to ask."""
    return _from_file() or _ask(f"Passphrase of {path}: ")


def ask_new_passphrase(path: Path) -> str:
    """Ask twice for a new one; raise UsageError if it is empty or not the same."""
    given = _from_file()
    if given is None:
        given = _ask(f"New passphrase for {path}: ")
        if given != _ask("The same again: "):
            raise UsageError("the passphrases are not the same")
    if not given:
        raise UsageError("the passphrase is empty")
    return given


def _from_file() -> str | None:
    """Return the first line of $KUBESHARK_PASSPHRASE_FILE; None if that is not set."""
    named = os.environ.get("KUBESHARK_PASSPHRASE_FILE", "")
    if not named:
        return None
    try:
        with Path(named).expanduser().open("rb") as file:
            line = file.readline(_MAX_PASSPHRASE_BYTES + 1)
        text = line.decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read the passphrase file {named}: {error}") from error
    if not text or len(line) > _MAX_PASSPHRASE_BYTES:
        raise StoreError(f"the first line of {named} is no passphrase")
    return text


def _ask(prompt: str) -> str:
    """Ask on the terminal, which is not standard input: that may be a capture."""
    try:
        with Path("/dev/tty").open("r+b", buffering=0):
            pass
    except OSError as error:
        hint = "put it into a file that only you can read, and name that in KUBESHARK_PASSPHRASE_FILE"
        raise StoreError("there is no terminal to ask for the passphrase", hint=hint) from error
    import getpass

    return getpass.getpass(prompt)


def _stretch(passphrase: str, salt: bytes, work_factor: int) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=_SCRYPT + salt, length=32, n=1 << work_factor, r=8, p=1).derive(passphrase.encode())


def _chunk_nonce(chunk: int, *, last: bool) -> bytes:
    return chunk.to_bytes(11, "big") + bytes([last])


def _dearmor(content: bytes, name: str) -> bytes:
    """Undo `age -a` (PEM-like: full lines of 64 base64 characters)."""
    if not content.startswith(_ARMOR[0]):
        return content
    _begin, *lines = content.strip().splitlines()
    if not lines or lines.pop() != _ARMOR[1]:
        raise Damaged("its armor has no end", file=name)
    try:
        return base64.b64decode(b"".join(lines), validate=True)
    except binascii.Error as error:
        raise Damaged(f"its armor: {error}", file=name) from error
