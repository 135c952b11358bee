"""Plugins under their names in one pluggy manager, and the functions that each has for a hook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any, TypeVar

import pluggy

from kubeshark.errors import PluginError, PluginRejected
from kubeshark.extension_api import HOOKS, build_manager
from kubeshark.pipeline.dissectors import BUILTINS as DISSECTORS
from kubeshark.pipeline.plugins._contained import Contained, why
from kubeshark.pipeline.plugins._entry_points import python_plugins
from kubeshark.pipeline.plugins._lifecycle import BrokenEnricher
from kubeshark.pipeline.renderers import BUILTINS as RENDERERS

__all__ = ["Registered"]

T = TypeVar("T")


class Registered:
    """The built-in plugins, and those that are added."""

    def __init__(self, problems: list[PluginError], broken: Iterable[BrokenEnricher]) -> None:
        """`problems` is told why plugins are left out; `broken` are enrichers that already are."""
        self.manager: pluggy.PluginManager = build_manager(HOOKS)
        self.problems = problems
        self.broken = list(broken)
        self.contained = Contained()
        self.python: set[str] = set()
        """The names of Python plugins that are not built in: they run in this process, contained."""
        for name in (*DISSECTORS, *RENDERERS):
            self.manager.register(import_module(name), name)

    def add_python(self, local: Iterable[tuple[str, Any]], only: str) -> None:
        """Add the plugins of Python packages, or just that of one name, and `local` ones."""
        for name, plugin in (*self._loaded(only), *local):
            if self.add(plugin, name):
                self.python.add(name)

    def add(self, plugin: Any, name: str) -> bool:
        """Add a plugin; one that is refused is left out, and if it redacts, nothing is shown that it has not seen."""
        if self.manager.has_plugin(name):
            text, hint = "another plugin has this name", "uninstall one of them"
        else:
            try:
                self.manager.register(plugin, name)
            except pluggy.PluginValidationError as error:
                text, hint = " ".join(str(error).split()), 'see "kubeshark plugin hooks"'
                self.manager.unregister(name=name)
            except ValueError:
                text, hint = "it is there already, with another name", "name it once"
            else:
                return True
        self.problems.append(PluginRejected(text, plugin=name, hint=hint))
        if getattr(plugin, "enrich", None) is not None:
            self.broken.append(BrokenEnricher(name, text))
        return False

    def leave_out(self, problem: PluginError) -> None:
        """Do without a Python plugin that does not start; if it redacts, nothing is shown that it has not seen."""
        self.problems.append(problem)
        if problem.plugin in self.functions("enrich"):
            self.broken.append(BrokenEnricher(problem.plugin, problem.message))
        self.manager.unregister(name=problem.plugin)

    def functions(self, hook: str) -> dict[str, Callable[..., Any]]:
        """Return plugin name → implementation of a hook, first registered first; all that run here are contained."""
        caller: pluggy.HookCaller = getattr(self.manager.hook, hook)
        found = {each.plugin_name: each.function for each in caller.get_hookimpls()}
        return {name: self._contained(hook, name, function) for name, function in found.items()}

    def _contained(self, hook: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        if name in self.python:
            return self.contained.hook(hook, name, function)
        return self.contained.own(hook, name, function) if name in DISSECTORS else function

    def declared(self, hook: str, kind: type[T]) -> Iterator[tuple[str, Sequence[T]]]:
        """Yield plugin name and what it declares; one whose declaration makes no sense is told, and left out."""
        for plugin, declare in self.functions(hook).items():
            if plugin not in self.python:
                said = declare()
                yield plugin, [said] if isinstance(said, kind) else said
            elif (specs := self.contained.declared(hook, plugin, declare, kind)) is not None:
                yield plugin, specs

    def _loaded(self, only: str) -> Iterator[tuple[str, Any]]:
        """Yield the plugins of Python packages, or one of them; those that cannot be imported are left out."""
        for point in python_plugins():
            if only not in ("", point.name):
                continue
            try:
                plugin = point.load()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 (whatever a module raises, SystemExit among it)
                self.problems.append(PluginRejected(f"cannot be loaded: {why(error)}", plugin=point.name))
            else:
                yield point.name, plugin
