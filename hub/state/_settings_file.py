"""The hub's settings, changed while it runs: <hub folder>/settings.json, replaced at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kubeshark.errors import StoreError
from kubeshark.hub.nodes._worker_setting import WorkerSetting
from kubeshark.packages._documents import write_document
from kubeshark.pipeline.enrichment._rules import DEFAULT_RULES, RedactionRule

__all__ = ["Settings", "SettingsFile"]


class Settings(msgspec.Struct, frozen=True):
    """What an administrator decides. `redaction` None: the rules of the configuration, else those of kubeshark."""

    redaction: list[RedactionRule] | None = None
    max_upload_bytes: int = 16 << 30
    workers: list[WorkerSetting] = []  # beside those of the options

    def rules(self, otherwise: Sequence[RedactionRule] = DEFAULT_RULES) -> tuple[RedactionRule, ...]:
        """Return the rules in force; `otherwise` those of the configuration."""
        return tuple(otherwise if self.redaction is None else self.redaction)


class SettingsFile:
    """Read when it has changed; safe from any thread."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "settings.json"
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int] | None, Settings] = (None, Settings())

    def read(self) -> Settings:
        """Raise StoreError for a file that cannot be read: without its rules nothing may be shown."""
        with self._lock:
            try:
                status = self.path.stat()
                stamp = (status.st_mtime_ns, status.st_ino)
                if stamp != self._read[0]:
                    self._read = stamp, msgspec.json.decode(self.path.read_bytes(), type=Settings)
            except FileNotFoundError:
                self._read = None, Settings()
            except (OSError, msgspec.DecodeError) as error:
                raise StoreError(f"{self.path} cannot be read: {error}", hint="repair or delete it") from error
            return self._read[1]

    def write(self, settings: Settings) -> None:
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_document(self.path, settings)
