"""What users decided about plugins, and how the plugins fared: settings, switched off or not, the last trouble.

    <plugins.dir>/state.json        one object a plugin, by id; mode 0600, because settings may be secrets

It is replaced at once and under a lock, so that two commands lose nothing of each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from kubeshark.errors import PluginRejected
from kubeshark.packages._documents import locked, write_document

if TYPE_CHECKING:
    from kubeshark.hosts import PluginStatus

__all__ = [
    "Health",
    "PluginState",
    "change_state",
    "keep_health",
    "plugins_folder",
    "quarantine_of",
    "read_states",
]

STATE_NAME = "state.json"
LOCK_NAME = ".state.lock"


class Health(msgspec.Struct, frozen=True):
    """The last trouble a plugin made; all empty if there was none since it was enabled."""

    state: str = ""  # failed, quarantined, recovered
    reason: str = ""
    crashes: int = 0
    at: str = ""  # RFC 3339
    digest: str = ""  # of the plugin that made it: another one is not to blame


class PluginState(msgspec.Struct, frozen=True):
    """One plugin's part of the file."""

    disabled: bool = False
    settings: dict[str, str | int | float | bool | list[str]] = {}
    health: Health = Health()


def read_states(folder: Path) -> dict[str, PluginState]:
    """Return what is known of each plugin; PluginRejected if the file cannot be read."""
    path = folder / STATE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, PluginState])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise PluginRejected(f"{path} cannot be read: {error}", plugin="*", hint="repair or delete it") from error


def change_state(folder: Path, plugin: str, change: Callable[[PluginState], PluginState | None]) -> None:
    """Replace one plugin's state by what `change` makes of it; None forgets it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder, LOCK_NAME):
        states = read_states(folder)
        before = states.get(plugin, PluginState())
        after = change(before)
        if after is None or after == PluginState():
            states.pop(plugin, None)
        else:
            states[plugin] = after
        write_document(folder / STATE_NAME, states)


def keep_health(statuses: Mapping[str, PluginStatus], digests: Mapping[str, str] | None = None) -> None:
    """Note which plugins had trouble; a run without any clears what an earlier one noted.

    A quarantine holds in later processes too, until `plugin enable` or another version: see `quarantine_of`.
    """
    folder = plugins_folder()
    try:
        before = read_states(folder)
        for plugin, status in statuses.items():
            had = before.get(plugin, PluginState()).health
            if status.crashes or status.state.value in ("failed", "quarantined"):
                at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                digest = (digests or {}).get(plugin, "")
                health = Health(
                    _trouble(status), status.reason or status.trouble or had.reason, status.crashes, at, digest
                )
            elif status.calls and had != Health():
                health = Health()
            else:
                continue
            change_state(folder, plugin, lambda state, health=health: replace(state, health=health))  # type: ignore[misc]
    except (OSError, PluginRejected):
        return  # a note for people: not worth failing for


def quarantine_of(state: PluginState, digest: str) -> str:
    """Return why a plugin with this digest is not run, "" if it is: it crashed too often in an earlier process."""
    health = state.health
    is_kept = health.state == "quarantined" and health.crashes > 0 and digest and health.digest == digest
    return f"is quarantined since {health.at}: {health.reason}" if is_kept else ""


def _trouble(status: PluginStatus) -> str:
    return status.state.value if status.state.value in ("failed", "quarantined") else "recovered"


def plugins_folder() -> Path:
    """Return plugins.dir: $KUBESHARK_PLUGINS, else ~/.kubeshark/plugins."""
    named = os.environ.get("KUBESHARK_PLUGINS")
    return Path(named) if named else Path.home() / ".kubeshark" / "plugins"
