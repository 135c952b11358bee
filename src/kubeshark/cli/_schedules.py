"""Schedules of the configuration, for what captures all the time: workers, and serve -i."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark.cli._configured import configuration

if TYPE_CHECKING:
    from kubeshark.settings import Windows

__all__ = ["schedules"]


def schedules() -> Windows | None:
    """Return the windows of `capture.schedules`, None where there are none; raise UsageError."""
    loaded = configuration.loaded()
    if loaded is None or not loaded.settings.capture.schedules:
        return None
    from kubeshark.settings import Windows

    return Windows(loaded.settings.capture.schedules, loaded.settings.timezone)
