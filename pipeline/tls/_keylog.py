"""Key logs in NSS format (draft-ietf-tls-keylogfile): which secrets belong to which client random.

Secrets stay in this object: its repr and its errors show none, it is not pickled, and only `secret_text` writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["KeyLog"]

MAX_LINES = 1_000_000
MAX_LINE = 4_096  # the longest secret has 64 bytes; labels are short
MASTER_SECRET_BYTES = 48

RANDOM_BYTES = 32
SECRETS = frozenset(
    {
        "CLIENT_RANDOM",
        "PMS_CLIENT_RANDOM",
        "CLIENT_EARLY_TRAFFIC_SECRET",
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    }
)
IGNORED = frozenset({"EXPORTER_SECRET", "EARLY_EXPORTER_SECRET", "ECH_SECRET", "ECH_CONFIG"})
_LINE = re.compile(r"([A-Z][A-Z0-9_]{0,63}) ([0-9A-Fa-f]{16,128}) ([0-9A-Fa-f]{32,1024})")


class KeyLog:
    """Secrets by client random. An empty one is false."""

    __slots__ = ("_premasters", "_sessions", "bad_lines")

    def __init__(self) -> None:
        self._sessions: dict[bytes, dict[str, bytes]] = {}
        self._premasters: dict[bytes, bytes] = {}  # by the first 8 bytes of what the client encrypted
        self.bad_lines = 0

    @classmethod
    def parse(cls, text: str | bytes) -> KeyLog:
        """Read a key log; lines that are none are counted in `bad_lines`. At most MAX_LINES are read."""
        log = cls()
        for number, line in enumerate(_lines(text)):
            if number >= MAX_LINES:
                log.bad_lines += 1
                break
            log._add(line)
        return log

    def _add(self, line: str) -> None:
        line = line.strip()
        if not line or line.startswith("#"):
            return
        found = _LINE.fullmatch(line) if len(line) <= MAX_LINE else None
        if found is None or len(found[2]) % 2 or len(found[3]) % 2:
            self.bad_lines += 1
            return
        label, key, secret = found[1], bytes.fromhex(found[2]), bytes.fromhex(found[3])
        if label == "RSA" and len(key) == 8:
            self._premasters[key] = secret
        elif label in SECRETS and len(key) == RANDOM_BYTES:
            if label == "CLIENT_RANDOM" and len(secret) != MASTER_SECRET_BYTES:
                self.bad_lines += 1
                return
            self._sessions.setdefault(key, {})[label] = secret
        elif label not in IGNORED and not re.fullmatch(r"(CLIENT|SERVER)_TRAFFIC_SECRET_\d+", label):
            self.bad_lines += 1

    def merged(self, other: KeyLog) -> KeyLog:
        """Return what is in either; the other's secrets win."""
        log = KeyLog()
        for source in (self, other):
            for random, secrets in source._sessions.items():
                log._sessions.setdefault(random, {}).update(secrets)
            log._premasters |= source._premasters
            log.bad_lines += source.bad_lines
        return log

    def secrets(self, client_random: bytes) -> dict[str, bytes]:
        """Return label → secret of one session; empty if there are none."""
        return self._sessions.get(client_random, {})

    def premaster(self, encrypted: bytes) -> bytes | None:
        """Return the premaster secret that a client sent RSA-encrypted as this."""
        return self._premasters.get(encrypted[:8])

    def secret_text(self) -> bytes:
        """Return the secrets as a key log again: for a process of ours that decrypts, through a private channel."""
        lines = [
            f"{label} {random.hex()} {secret.hex()}"
            for random, secrets in self._sessions.items()
            for label, secret in secrets.items()
        ]
        lines += [f"RSA {key.hex()} {secret.hex()}" for key, secret in self._premasters.items()]
        return "\n".join(lines).encode()

    def __bool__(self) -> bool:
        return bool(self._sessions or self._premasters)

    def __len__(self) -> int:
        return len(self._sessions) + len(self._premasters)

    def __repr__(self) -> str:
        return f"<KeyLog: {len(self)} sessions>"

    def __reduce__(self) -> str:
        raise TypeError("secrets are not pickled")


def _lines(text: str | bytes) -> Iterator[str]:
    """Yield lines without copying all of them; bytes that are not ASCII make a bad line."""
    at, newline = 0, "\n" if isinstance(text, str) else b"\n"
    while at < len(text):
        end = text.find(newline, at)  # type: ignore[arg-type]
        end = len(text) if end < 0 else end
        line = text[at : min(end, at + MAX_LINE + 1)]
        yield line if isinstance(line, str) else line.decode("ascii", "replace")
        at = end + 1
