"""Sessions of browsers: a signed cookie, so that a hub that starts again still knows its pages.

The cookie says who it is, and is signed with a key of the hub's folder (itsdangerous: HMAC and age, well kept, by the
Pallets project). It is worth nothing when it is too old, its token was withdrawn, or it was left; of the last only this
process knows.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

import msgspec
from itsdangerous import BadSignature, URLSafeTimedSerializer

from kubeshark.errors import StoreError
from kubeshark.hub.access._rights import Principal, Right, Role

__all__ = ["LIFETIME_S", "Sessions", "session_key"]

LIFETIME_S = 12 * 3600
MAX_COOKIE = 4_096
KEY_BYTES = 32


class _Claims(msgspec.Struct, frozen=True):
    name: str
    role: Role
    rights: list[Right]
    namespaces: list[str] | None
    source: str
    nonce: str = ""  # two sessions of a second are two


def session_key(folder: Path) -> bytes:
    """Return the key of the folder, made if it is not there; a file of its user alone."""
    path = folder / "session.key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            temporary = path.with_name(f".session.{secrets.token_hex(4)}")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor)
                file.write(secrets.token_bytes(KEY_BYTES))
            try:
                os.link(temporary, path)  # whoever comes first makes it
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", hint="set KUBESHARK_HUB to a folder of yours") from error
    if len(key) != KEY_BYTES:
        raise StoreError(f"{path} is no key", hint="delete it: browsers then need the token again")
    return key


class Sessions:
    """Makes and reads cookies."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._serializer = URLSafeTimedSerializer(
            key, salt="kubeshark session", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._ended: dict[str, float] = {}  # cookies that were left, oldest first, and when

    def cookie(self, principal: Principal) -> str:
        namespaces = None if principal.namespaces is None else sorted(principal.namespaces)
        claims = _Claims(
            principal.name, principal.role, sorted(principal.rights), namespaces, principal.source, secrets.token_hex(8)
        )
        return str(self._serializer.dumps(msgspec.to_builtins(claims)))

    def read(self, cookie: str) -> Principal | None:
        """Return whose session it is; None if it is none of ours, or too old."""
        if not cookie or len(cookie) > MAX_COOKIE or cookie in self._ended:
            return None
        try:
            said = self._serializer.loads(cookie, max_age=LIFETIME_S)
            claims = msgspec.convert(said, _Claims)
        except (BadSignature, msgspec.ValidationError):
            return None
        namespaces = None if claims.namespaces is None else frozenset(claims.namespaces)
        return Principal(claims.name, claims.role, frozenset(claims.rights), namespaces, claims.source)

    def end(self, cookie: str) -> None:
        """Know a session no more; one that is none of ours is of no interest."""
        if self.read(cookie) is None:
            return
        now = time.monotonic()
        self._ended = {each: at for each, at in self._ended.items() if now - at < LIFETIME_S} | {cookie: now}

    def csrf(self, cookie: str) -> str:
        """Return what a page has to send along to change something: only scripts of our origin can read it."""
        return hmac.new(self._key, b"csrf " + cookie.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
