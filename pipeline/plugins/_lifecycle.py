"""The life of plugins that run in this process: configured and started once, stopped within a limit.

Plugins of other languages live in processes of their own; those are configured, started and stopped by their
supervisor, as often as a process begins and ends. A Python plugin is trusted code: what it raises is reported, what
it hangs in cannot be ended, only left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from kubeshark.errors import KubesharkError, PluginError
from kubeshark.extension_api._settings import check_settings

__all__ = ["BrokenEnricher", "LocalPlugins"]

STOP_S = 1.0


class LocalPlugins(Struct):
    """Python plugins by name, with the functions that pluggy found for them."""

    functions: Callable[[str], Mapping[str, Callable[..., Any]]]  # hook → plugin name → implementation
    names: frozenset[str]
    _started: list[str] = field(default_factory=list)

    def start(self, settings: Mapping[str, Mapping[str, object]]) -> list[PluginError]:
        """Configure and start each; return who refused or failed: they must not be used."""
        problems = []
        declared, configure, start = (self._of(hook) for hook in ("settings", "configure", "start"))
        for name in sorted(declared.keys() | configure.keys() | start.keys()):
            try:
                specs = declared[name]() if name in declared else ()
                values = check_settings(specs, settings.get(name, {}))
                if name in configure:
                    configure[name](values=values)
                if name in start:
                    start[name]()
            except KubesharkError as error:
                problems.append(PluginError(error.message, plugin=name, hook="configure", hint=error.hint))
            except ValueError as error:
                problems.append(PluginError(f"refuses its settings: {error}", plugin=name, hook="configure"))
            except (Exception, SystemExit) as error:  # noqa: BLE001 (its other users must not fall with it)
                problems.append(PluginError(f"raised {type(error).__name__}: {error}", plugin=name, hook="start"))
            else:
                self._started.append(name)
        return problems

    def stop(self) -> list[PluginError]:
        """Stop each that was started, last first; twice is fine."""
        problems: list[PluginError] = []
        stops = self._of("stop")
        while self._started:
            name = self._started.pop()
            if name in stops:
                problem = _within(STOP_S, stops[name])
                if problem:
                    problems.append(PluginError(problem, plugin=name, hook="stop"))
        return problems

    def _of(self, hook: str) -> dict[str, Callable[..., Any]]:
        return {name: call for name, call in self.functions(hook).items() if name in self.names}


def _within(seconds: float, call: Callable[[], Any]) -> str:
    """Run a call; return what went wrong, "" if nothing did. A call that goes on is left to end with the process."""
    failures: list[str] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 (it ends in any case)
            failures.append(f"raised {type(error).__name__}: {error}")

    thread = threading.Thread(target=run, name="kubeshark-stop", daemon=True)
    thread.start()
    thread.join(seconds)
    return f"took longer than {seconds:.0f} s" if thread.is_alive() else "".join(failures)


class BrokenEnricher(Struct, frozen=True):
    """Stands for a plugin that redacts and cannot be used: nothing may be shown that it has not seen."""

    name: str
    reason: str
