"""Tokens for people and programs, beside the one that `serve` prints: made and withdrawn by `kubeshark hub token`.

    <hub folder>/tokens.json     id, name, role, namespaces, SHA-256 of the token; mode 0600

The token itself is shown once and kept nowhere. It has 256 random bits, so that a plain hash is enough. A hub that runs
reads the file again when it has changed.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from kubeshark.errors import StoreError, UsageError
from kubeshark.hub.access._rights import Principal, Role, make_principal
from kubeshark.packages._documents import locked, write_document

__all__ = ["Token", "Tokens", "hub_folder"]

PREFIX = "ks"
MAX_TOKENS = 10_000
NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123 label, as Kubernetes has it


class Token(msgspec.Struct, frozen=True):
    """One line of the file."""

    id: str
    name: str
    role: Role
    sha256: str
    created: int  # seconds since 1970
    expires: int = 0  # 0: never
    namespaces: list[str] | None = None
    without: list[str] = []

    def principal(self) -> Principal:
        return make_principal(self.name, self.role, namespaces=self.namespaces, without=self.without, source=self.id)


def hub_folder() -> Path:
    """Return where the hub keeps what is its own: $KUBESHARK_HUB, else ~/.kubeshark/hub."""
    named = os.environ.get("KUBESHARK_HUB")
    return Path(named) if named else Path.home() / ".kubeshark" / "hub"


class Tokens:
    """The file. Safe from any thread; two commands lose nothing of each other."""

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or hub_folder()) / "tokens.json"
        self._read: tuple[tuple[int, int, int] | None, dict[str, Token]] = (None, {})

    def all(self) -> list[Token]:
        """Return the tokens, oldest first; StoreError for a file that cannot be read."""
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._read[0]:
                found = msgspec.json.decode(self.path.read_bytes(), type=list[Token])
                self._read = stamp, {token.id: token for token in found}
        except FileNotFoundError:
            self._read = None, {}
        except (OSError, msgspec.DecodeError) as error:
            raise StoreError(f"{self.path} cannot be read: {error}", hint="repair or delete it") from error
        return list(self._read[1].values())

    def new(
        self,
        name: str,
        role: Role,
        *,
        namespaces: Sequence[str] | None = None,
        without: Sequence[str] = (),
        lasts_s: int = 0,
    ) -> tuple[Token, str]:
        """Make a token; return its record and the token's text, which nobody can know again."""
        for namespace in namespaces or ():
            if not NAMESPACE.fullmatch(namespace):
                raise UsageError(f"{namespace!r} is no namespace", hint="lower-case letters, digits and dashes")
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise UsageError("a token needs a name of at most 100 characters")
        secret = secrets.token_urlsafe(32)
        now = int(time.time())
        with self._locked() as tokens:
            if len(tokens) >= MAX_TOKENS:
                raise UsageError(f"there are {MAX_TOKENS:,} tokens", hint="revoke some")
            identifier = secrets.token_hex(6)
            token = Token(
                identifier,
                name,
                role,
                _hash(secret),
                now,
                now + lasts_s if lasts_s else 0,
                None if namespaces is None else list(namespaces),
                list(without),
            )
            tokens.append(token)
        return token, f"{PREFIX}_{identifier}_{secret}"

    def revoke(self, which: str) -> Token:
        """Withdraw the token with this id or name; UsageError if there is none, or several of the name."""
        with self._locked() as tokens:
            found = [token for token in tokens if which in (token.id, token.name)]
            if len(found) != 1:
                what = "no token" if not found else f"{len(found)} tokens"
                raise UsageError(f"there is {what} {which!r}", hint='"kubeshark hub token list" shows ids')
            tokens.remove(found[0])
        return found[0]

    def find(self, text: str) -> Principal | None:
        """Return whose token this is; None for any other text, and for one that has expired."""
        prefix, _, rest = text.partition("_")
        identifier, _, secret = rest.partition("_")
        if prefix != PREFIX or not secret:
            return None
        token = self._valid(identifier)
        if token is None or not secrets.compare_digest(token.sha256, _hash(secret)):
            return None
        return token.principal()

    def has(self, identifier: str) -> bool:
        """Say whether a token is still there: sessions end with theirs."""
        return self._valid(identifier) is not None

    def _valid(self, identifier: str) -> Token | None:
        token = next((token for token in self.all() if token.id == identifier), None)
        return None if token is None or 0 < token.expires <= time.time() else token

    @contextmanager
    def _locked(self) -> Iterator[list[Token]]:
        """Give the list to change; it is written at once and under a lock."""
        with locked(self.path.parent, ".tokens.lock"):
            tokens = self.all()
            yield tokens
            write_document(self.path, tokens)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
