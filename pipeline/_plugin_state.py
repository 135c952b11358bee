"""What users decided about plugins, and how the plugins fared: settings, switched off or not, the last trouble.

    <plugins.dir>/state.json        one object a plugin, by id; mode 0600, because settings may be secrets

It is replaced at once and under a lock, so that two commands lose nothing of each other.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from kubeshark.errors import PluginRejected

__all__ = ["Health", "PluginState", "change_state", "read_states"]

STATE_NAME = "state.json"
LOCK_NAME = ".state.lock"


class Health(msgspec.Struct, frozen=True):
    """The last trouble a plugin made; all empty if there was none since it was enabled."""

    state: str = ""  # failed, quarantined
    reason: str = ""
    crashes: int = 0
    at: str = ""  # RFC 3339


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
    with _locked(folder):
        states = read_states(folder)
        before = states.get(plugin, PluginState())
        after = change(before)
        if after is None or after == PluginState():
            states.pop(plugin, None)
        else:
            states[plugin] = after
        _write(folder / STATE_NAME, states)


def _write(path: Path, states: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor)
        file.write(msgspec.json.format(msgspec.json.encode(states), indent=1) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
