"""Which plugins there are and what each can do: built-ins and anybody's through one pluggy manager.

pluggy registers and checks; on the hot path the functions it found are called directly, a whole batch at a time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self

from msgspec import Struct

from kubeshark.errors import PluginError, PluginRejected, UsageError
from kubeshark.extension_api import (
    Enrichment,
    EnrichSpec,
    FilterSpec,
    JobSpec,
    ProtocolSpec,
    Representation,
    VariableType,
)
from kubeshark.pipeline.dissectors import BUILTINS as DISSECTORS
from kubeshark.pipeline.enrichment._enrich import EnricherBinding
from kubeshark.pipeline.entries._display import Display
from kubeshark.pipeline.kfl import VARIABLES, Variables, check_filter_name
from kubeshark.pipeline.plugins._bindings import Binding, Bindings
from kubeshark.pipeline.plugins._entry_points import python_plugins
from kubeshark.pipeline.plugins._lifecycle import BrokenEnricher, LocalPlugins
from kubeshark.pipeline.plugins._registered import Registered
from kubeshark.pipeline.plugins._state import keep_health, plugins_folder, read_states

if TYPE_CHECKING:
    from kubeshark.hosts import ForeignPlugin
    from kubeshark.pipeline.entries._entry import Entry
    from kubeshark.pipeline.scripts._runtime import Scripts

__all__ = ["JobBinding", "PluginFilter", "Plugins"]

MAX_HEARD = 1000
"""Different problems that one query is told of."""


class PluginFilter(Struct, frozen=True):
    spec: FilterSpec
    plugin: str
    call: Callable[..., Any]


class JobBinding(Struct, frozen=True):
    spec: JobSpec
    plugin: str
    call: Callable[..., Any]


class Plugins:
    """The registered plugins. `close` stops the processes of foreign ones; use as a context manager."""

    def __init__(
        self,
        foreign: Iterable[tuple[str, ForeignPlugin]] = (),
        *,
        local: Iterable[tuple[str, Any]] = (),
        broken: Iterable[BrokenEnricher] = (),
        settings: Mapping[str, Mapping[str, object]] | None = None,
        only: str = "",
    ) -> None:
        """`settings` are those of Python plugins, by name; `broken` are enrichers that were left out.

        With `only`, no other plugin of an installed package is loaded.

        `local` are Python plugins beside those of installed packages: their authors' own.
        """
        self.problems: list[PluginError] = []
        self._listeners: dict[int, dict[str, PluginError]] = {}  # of queries that run, by text
        self.scripts: Scripts | None = None  # Kubeshark scripts that look at what a query gives; closed with this
        self.macros: Mapping[str, str] = {}  # of filters, by name; see `use_macros`
        self._keeps_health = False
        self._registered = Registered(self.problems, broken)
        self._registered.add_python(local, only)
        self.manager = self._registered.manager
        self._foreign: list[ForeignPlugin] = []
        for name, plugin in foreign:
            self._foreign.append(plugin)
            self._registered.add(plugin, name)
        self._local = LocalPlugins(self._registered.functions, frozenset(self._registered.python))
        for problem in self._local.start(settings or {}):
            self._registered.leave_out(problem)
        self._index()
        self.problems += self._registered.contained.take_problems()
        self.left_out: tuple[PluginError, ...] = tuple(self.problems)
        """Why plugins, or hooks of theirs, are not there; unlike `problems` it stays."""

    @classmethod
    def installed(cls, only: str = "") -> Self:
        """Return the built-in plugins, those of Python packages, and those installed with `kubeshark plugin`.

        With `only`, beside the built-in ones just the one of that name; UsageError if none has it, or it is disabled.
        """
        foreign, broken, problems = _installed(only)
        if only and not foreign and not problems and all(point.name != only for point in python_plugins()):
            raise UsageError(f"no plugin {only} is installed and enabled", hint='see "kubeshark plugin list"')
        plugins = cls(foreign, broken=broken, settings=_settings(problems), only=only)
        plugins.problems += problems
        plugins.left_out += tuple(problems)
        plugins._keeps_health = True
        if scripts_may_run():
            plugins._take_scripts()
        return plugins

    def use_macros(self, macros: Mapping[str, str]) -> None:
        """Let filters use these names for KFL; raise UsageError for one that cannot be meant."""
        from kubeshark.pipeline.kfl import check_macros

        specs = {name: offered.spec for name, offered in self.filters.items()}
        check_macros(macros, now_ns=time.time_ns(), variables=self.variables, plugins=specs)
        self.macros = macros

    def _take_scripts(self) -> None:
        """Have the scripts that look at what queries give; they are loaded when a query gives something."""
        from kubeshark.pipeline.scripts._replay import queried_scripts  # most have no scripts

        try:
            self.scripts = queried_scripts(lambda: self.variables)
        except UsageError as error:
            self.problems.append(PluginError(error.message, plugin="scripts", hint=error.hint))

    def _unknown(self, plugin: str, hook: str, reads: Sequence[str]) -> str:
        """Return why a hook is left out, "" if it is not: it is given variables of each entry, and one is not there.

        A Python plugin asks entries itself.
        """
        if not reads or plugin in self._registered.python:
            return ""
        name = next((name for name in reads if name not in self.variables), "")
        return f"{hook} reads {name!r}, and there is no such variable: it is left out" if name else ""

    def _index(self) -> None:
        dissect, probe = self._registered.functions("dissect"), self._registered.functions("probe")
        bindings = []
        for plugin, protocols in self._registered.declared("protocols", ProtocolSpec):
            is_python = plugin in self._registered.python
            bindings += [
                Binding(
                    spec,
                    plugin,
                    dissect[plugin],
                    probe.get(plugin),
                    plugin in DISSECTORS,
                    None if is_python else getattr(self.manager.get_plugin(plugin), "answer", None),
                )
                for spec in protocols
                if plugin in dissect
            ]
        self.protocols = Bindings(bindings)
        self._index_enrichers()
        call = self._registered.functions("filter")
        self.filters: dict[str, PluginFilter] = {}
        for plugin, filters in self._registered.declared("filters", FilterSpec):
            for filter_spec in filters if plugin in call else ():
                self._add_filter(plugin, filter_spec, call[plugin])
        call = self._registered.functions("job")
        self.jobs = [
            JobBinding(spec, plugin, call[plugin])
            for plugin, jobs in self._registered.declared("jobs", JobSpec)
            for spec in jobs
            if plugin in call and self._is_schedule(plugin, spec)
        ]
        self.packet_filters = self._registered.functions("packet_filter")
        self.segment_sealed = self._registered.functions("segment_sealed")
        renderers = list(self._registered.functions("render").values())
        self.display = Display(self._summarizers()[::-1], renderers[::-1])  # the latest first

    def _summarizers(self) -> list[Callable[..., Any]]:
        """Return the functions; one of a plugin that has a protocol of its own is asked for no other."""
        found = []
        for plugin, function in self._registered.functions("summarize").items():
            registered = self.manager.get_plugin(plugin)
            if wrong := self._unknown(plugin, "summarize", getattr(registered, "summary_reads", ())):
                self.problems.append(PluginRejected(wrong, plugin=plugin))
            elif name := getattr(registered, "summarizes", ""):
                asked: Any = partial(function)
                asked.of = partial(_if_named, name, function)
                found.append(asked)
            else:
                found.append(function)
        return found

    def _index_enrichers(self) -> None:
        """By priority; one that cannot be used comes first, and nothing passes it."""
        specs = {plugin: said[0] for plugin, said in self._registered.declared("enriches", EnrichSpec) if said}
        declaring = self._registered.functions("enriches")
        working = []
        for plugin, call in self._registered.functions("enrich").items():
            if plugin in declaring and plugin not in specs:
                self._registered.broken.append(BrokenEnricher(plugin, "what it declares makes no sense"))
            else:
                is_foreign = plugin not in self._registered.python  # one of those has no process to be out
                is_out = partial(getattr, self.manager.get_plugin(plugin), "is_out", False) if is_foreign else bool
                working.append(EnricherBinding(plugin, specs.get(plugin, EnrichSpec()), call, is_out=is_out))
        working.sort(key=lambda binding: (binding.spec.priority, binding.plugin))
        stands_for = [
            EnricherBinding(each.name, EnrichSpec(), _refusing(each.reason)) for each in self._registered.broken
        ]
        self.enrichers: list[EnricherBinding] = [*stands_for, *working]
        self.enrichers = [*stands_for, *map(self._reading, working)]  # variables are those of all of them

    def _reading(self, binding: EnricherBinding) -> EnricherBinding:
        """Return an enricher, or what stands for one that cannot be given what it reads; its variables stay known."""
        spec = binding.spec
        reads = [name for name in spec.reads if name != "document"]  # the whole entry
        wrong = self._unknown(binding.plugin, "enrich", reads)
        if not wrong:
            return binding
        self.problems.append(PluginRejected(wrong, plugin=binding.plugin))
        stands_for = _passing if spec.on_failure == "keep" else _refusing(wrong)
        return EnricherBinding(binding.plugin, spec, stands_for)

    def _is_schedule(self, plugin: str, spec: JobSpec) -> bool:
        from croniter import croniter  # few plugins have jobs

        is_valid = len(spec.cron.split()) == 6 and croniter.is_valid(spec.cron, second_at_beginning=True)
        if not is_valid:
            text = f"job {spec.name}: {spec.cron!r} is no schedule of six fields"
            self.problems.append(PluginRejected(text, plugin=plugin, hint='write "0 */5 * * * *": second first'))
        return is_valid

    def _add_filter(self, plugin: str, spec: FilterSpec, call: Callable[..., Any]) -> None:
        name = spec.name
        try:
            check_filter_name(name)
        except UsageError as error:
            self.problems.append(PluginRejected(error.message, plugin=plugin))
            return
        if wrong := self._unknown(plugin, f"filter {name}()", spec.reads):
            self.problems.append(PluginRejected(wrong, plugin=plugin))
            return
        if name in self.filters:
            name = f"{plugin.partition('@')[0]}.{spec.name}"
            text = f"filter {spec.name}() is already offered by {self.filters[spec.name].plugin}: this one is {name}()"
            self.problems.append(PluginRejected(text, plugin=plugin))
        self.filters[name] = PluginFilter(spec, plugin, call)

    @cached_property
    def variables(self) -> Variables:
        """KFL's variables and those that plugins add, flags included."""
        known = VARIABLES
        added: list[tuple[str, Mapping[str, VariableType]]] = []
        for binding in self.protocols.all:
            flags: dict[str, VariableType] = dict.fromkeys(binding.protocol.flags, "bool")
            added.append((binding.plugin, {**flags, **binding.protocol.variables}))
        added += [(enricher.plugin, enricher.spec.variables) for enricher in self.enrichers]
        for plugin, variables in added:
            for name, kind in variables.items():
                try:
                    known = known.with_plugin(name, kind)
                except UsageError as error:  # taken with another type: the plugin's own entries show it, KFL does not
                    self.problems.append(PluginRejected(error.message, plugin=plugin))
        return known

    def take_problems(self) -> list[PluginError]:
        """Return what foreign plugins did wrong since the last time, and what kept plugins from being loaded."""
        problems, self.problems = self.problems, []
        problems += self._registered.contained.take_problems()
        for plugin in self._foreign:
            problems += plugin.take_problems()
        if self.scripts is not None:
            said, self.scripts.problems = self.scripts.problems, []
            problems += [PluginError(text, plugin="scripts") for text in said]
        for heard in list(self._listeners.values()):
            for problem in problems[: MAX_HEARD - len(heard)] if len(heard) < MAX_HEARD else ():
                heard.setdefault(str(problem), problem)
        return problems

    @contextmanager
    def listening(self) -> Iterator[dict[str, PluginError]]:
        """Yield what `take_problems` returns until the end, by text, whoever takes it: queries run beside each other.

        Nobody can say whose entries a plugin failed on, so all who listen are told.
        """
        heard: dict[str, PluginError] = {}
        self._listeners[id(heard)] = heard
        try:
            yield heard
        finally:
            self.take_problems()
            del self._listeners[id(heard)]

    def close(self) -> None:
        """Stop every plugin: each has a limit."""
        if self.scripts is not None:
            self.scripts.close()
        self.problems += self._local.stop()
        if self._keeps_health:
            digests = {plugin.manifest.id: plugin.digest for plugin in self._foreign}
            keep_health({plugin.manifest.id: plugin.status for plugin in self._foreign}, digests)
        for plugin in self._foreign:
            plugin.close()

    @property
    def are_built_in(self) -> bool:
        """Say whether there are none beside the built-in ones."""
        return not (self._local.names or self._foreign or self.scripts)

    @property
    def foreign(self) -> Sequence[ForeignPlugin]:
        """Those that run in processes of their own."""
        return tuple(self._foreign)

    def rendered(self, entry: Entry) -> dict[str, tuple[Representation | str, float]]:
        """Ask every renderer: name → (what it offers, or why it failed; seconds). Those that pass are left out."""
        found: dict[str, tuple[Representation | str, float]] = {}
        for name, render in self._registered.functions("render").items():
            began = time.perf_counter()
            offered: Representation | str | None
            try:
                offered = render(entry=entry)
            except PluginError as error:
                offered = error.message
            taken = time.perf_counter() - began
            if offered is not None and (isinstance(offered, str) or offered.priority >= 0):
                found[name.removeprefix("kubeshark.pipeline.renderers.")] = (offered, taken)
        return found

    def implementers(self, hook: str) -> list[str]:
        """Return the names of the plugins that have a hook, those whose supervisor calls it included."""
        foreign = [plugin.name for plugin in self._foreign if hook in plugin.manifest.hooks]
        return sorted({*self._registered.functions(hook), *foreign})

    def take_log(self) -> list[tuple[str, str]]:
        """Return (plugin, line) of what foreign plugins logged since the last time."""
        return [(plugin.name, line) for plugin in self._foreign for line in plugin.take_log()]

    def __enter__(self) -> Plugins:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def scripts_may_run() -> bool:
    """Say whether there may be a script that looks at queries: one is installed, or there is a configuration."""
    if "KUBESHARK_SCRIPTS" in os.environ or (plugins_folder() / "scripts.toml").is_file():
        return True
    if not plugins_folder().is_dir():
        return False
    from kubeshark.pipeline.plugins._installed import installed_plugins

    return any("onItemQueried" in plugin.hooks for plugin in installed_plugins() if not plugin.state.disabled)


def _installed(only: str) -> tuple[list[tuple[str, ForeignPlugin]], list[BrokenEnricher], list[PluginError]]:
    """Read what `kubeshark plugin install` left; what reads manifests takes 20 ms to load, and most have no plugins."""
    if not plugins_folder().is_dir():
        return [], [], []
    from kubeshark.pipeline.plugins._installed import foreign_plugins

    return foreign_plugins(only=only)


def _settings(problems: list[PluginError]) -> dict[str, Mapping[str, object]]:
    """The settings of Python plugins; an unreadable file is a problem of all who need them."""
    try:
        return {name: state.settings for name, state in read_states(plugins_folder()).items()}
    except PluginError as error:
        problems.append(error)
        return {}


def _if_named(name: str, function: Callable[..., Any], protocol: ProtocolSpec) -> Callable[..., Any] | None:
    return function if protocol.name == name else None


def _passing(entries: Sequence[Any]) -> Sequence[None]:
    return [None] * len(entries)


def _refusing(reason: str) -> Callable[..., Sequence[Enrichment]]:
    def enrich(entries: Sequence[Any]) -> Sequence[Enrichment]:
        return [Enrichment(failure=f"cannot be used: {reason}")] * len(entries)

    return enrich
