"""Keys of AWS, and how those that end are had anew before they do: once for everybody in a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from kubeshark.errors import StoreError

__all__ = ["AwsKeys", "Lasting", "keys_of"]

AHEAD = timedelta(minutes=10)
"""How long before their end keys are renewed, at most a third of their life: obstore asks from five minutes on."""

PAUSE = timedelta(seconds=30)
"""How long nobody is asked after a renewal that failed, while the keys still last."""


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """What requests are signed with. Nothing but the name of the key is ever shown."""

    access: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)
    until: datetime | None = None

    def for_obstore(self) -> dict[str, Any]:
        """Return them as obstore wants them from a provider."""
        return {
            "access_key_id": self.access,
            "secret_access_key": self.secret,
            "token": self.token or None,
            "expires_at": self.until,
        }


def keys_of(access: object, secret: object, token: object, until: object) -> AwsKeys:
    """Return keys that another process or server gave; raise ValueError for what cannot be some."""
    for value in (access, secret):
        if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
            raise ValueError
    if not isinstance(token, str | None) or not (token or "-").isprintable():
        raise ValueError
    if not isinstance(until, str | None):
        raise ValueError  # noqa: TRY004  # all of it is one kind of wrong
    end = datetime.fromisoformat(until) if until else None
    if end is not None and end.tzinfo is None:
        end = end.replace(tzinfo=UTC)
    return AwsKeys(str(access), str(secret), token or "", end)


def _now() -> datetime:
    return datetime.now(UTC)


class Lasting:
    """Keys that go on: asked for at first use, and again before they end. Threads may share it."""

    def __init__(self, ask: Callable[[], AwsKeys], now: Callable[[], datetime] = _now) -> None:
        self._ask, self._now = ask, now
        self._asking = Lock()
        self._keys: AwsKeys | None = None
        self._renew_at: datetime | None = None  # None: never

    def __call__(self) -> AwsKeys:
        """Return keys that still last; raise StoreError. Who asks while they are renewed waits."""
        with self._asking:
            now = self._now()
            if self._keys is None or (self._renew_at is not None and now >= self._renew_at):
                self._renew(now)
            assert self._keys is not None
            return self._keys

    def _renew(self, now: datetime) -> None:
        try:
            keys = self._ask()
        except StoreError:
            if self._keys is None or self._keys.until is None or self._keys.until <= now:
                raise
            self._renew_at = min(now + PAUSE, self._keys.until)
            return
        if keys.until is not None and keys.until <= now:
            raise StoreError("keys of AWS had ended when they came", hint="look at the clock of this machine")
        self._keys = keys
        self._renew_at = None if keys.until is None else keys.until - min(AHEAD, (keys.until - now) / 3)
