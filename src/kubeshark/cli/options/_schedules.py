"""Schedules of the configuration, for what captures all the time: workers, and serve -i."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark.cli.options._configured import configuration
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.settings import Windows

__all__ = ["archive_for", "schedules"]


def schedules() -> Windows | None:
    """Return the windows of `capture.schedules`, None where there are none; raise UsageError."""
    loaded = configuration.loaded()
    if loaded is None or not loaded.settings.capture.schedules:
        return None
    from kubeshark.settings import Windows

    return Windows(loaded.settings.capture.schedules, loaded.settings.timezone)


def archive_for(windows: Windows | None, given: str) -> str:
    """Return where what is sealed goes, "" for nowhere: as `given`, else where a schedule asks for one the configured.

    Raises UsageError where there is none.
    """
    loaded = configuration.loaded()
    if given or loaded is None or windows is None or not windows.asks_for_archive:
        return given
    from kubeshark.cluster import archive_of

    found = archive_of(loaded.settings)
    if not found:
        raise UsageError(
            "capture.schedules: upload: true, and there is no archive",
            hint="give --upload s3://BUCKET/PREFIX, or set tap.snapshots.cloud, or leave upload out",
        )
    return found
