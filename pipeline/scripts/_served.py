"""The scripts of a long-lived process: others are begun whenever files of theirs come or go."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from msgspec.structs import replace

from kubeshark.errors import PluginError
from kubeshark.pipeline.plugins._manager import Plugins
from kubeshark.pipeline.scripts._config import ScriptsConfig, read_config
from kubeshark.pipeline.scripts._console import Console
from kubeshark.pipeline.scripts._runtime import Scripts
from kubeshark.pipeline.scripts._service import Service

__all__ = ["ServedScripts"]


class ServedScripts:
    """Runs the configured scripts in both roles from `__enter__` to `__exit__`."""

    def __init__(self, plugins: Plugins, config: ScriptsConfig | None = None, pushed: Path | None = None) -> None:
        """`pushed`: a folder of scripts that others put there, beside those that are configured."""
        self.console = Console()
        self.problems: list[str] = []
        self.current: Scripts | None = None  # None: there are none
        self.pushed = pushed
        self._plugins, self._config = plugins, config
        self._running = ExitStack()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.begin_again()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._end()

    def begin_again(self) -> None:
        """Run the scripts that there are now; those that ran begin anew. Raise UsageError for a wrong scripts.toml."""
        with self._lock:
            config = self._config or read_config()
            if self.pushed is not None:
                self.pushed.mkdir(parents=True, exist_ok=True, mode=0o700)
                config = replace(config, sources=[*config.sources, str(self.pushed)])
            scripts = Scripts.configured(config, variables=self._plugins.variables, console=self.console)
            self.problems = list(scripts.problems)
            self._end()
            if not scripts.scripts:
                self._plugins.problems += [PluginError(problem, plugin="scripts") for problem in scripts.problems]
                return
            if self._plugins.scripts is not None:
                self._plugins.scripts.close()
            self._plugins.scripts = self.current = scripts
            self._running.enter_context(scripts.start())
            self._running.enter_context(Service(scripts))

    def log(self, text: str) -> None:
        """Let scripts hear of what is logged."""
        if (scripts := self.current) is not None:
            scripts.log_call("warning", text)

    def _end(self) -> None:
        if self.current is not None and self._plugins.scripts is self.current:
            self._plugins.scripts = None
        self.current = None
        self._running.close()
