"""The manager knows every hook and refuses what it does not know."""

from __future__ import annotations

from dataclasses import fields
from types import ModuleType, SimpleNamespace

import pluggy
import pytest

from kubeshark.extension_api import HOOKS, build_manager, hookimpl

MODULE = """
from kubeshark.extension_api import hookimpl

class Greedy:
    def __getattr__(self, name):
        raise RuntimeError(f"asked for {name}")

filters = Greedy()  # named like a hook, and none
enrich = print

@hookimpl
def render(entry):
    return entry

class Lifecycle:
    @hookimpl
    def start(self):
        return "started"

start = Lifecycle().start

def probe(*, stream):
    raise RuntimeError("has no mark")
"""


def test_every_hook_has_its_arguments() -> None:
    manager = build_manager(HOOKS)
    for hook in HOOKS:
        caller = getattr(manager.hook, hook.name)
        assert caller.spec is not None
        assert list(caller.spec.argnames) == [field.name for field in fields(hook)]
        assert caller.spec.function.__doc__ == hook.__doc__


def test_an_implementation_may_take_fewer_arguments() -> None:
    manager = build_manager(HOOKS)

    @hookimpl
    def render(entry: object) -> object:
        return entry

    manager.register(SimpleNamespace(render=render), "some")
    assert manager.hook.render(entry=7) == [7]


def test_an_unknown_argument_is_refused() -> None:
    @hookimpl
    def render(entry: object, colour: str) -> None: ...

    with pytest.raises(pluggy.PluginValidationError, match="colour"):
        build_manager(HOOKS).register(SimpleNamespace(render=render), "some")


def test_an_unknown_hook_is_found() -> None:
    @hookimpl
    def draw(entry: object) -> None: ...

    manager = build_manager(HOOKS)
    manager.register(SimpleNamespace(draw=draw), "some")
    with pytest.raises(pluggy.PluginValidationError, match="draw"):
        manager.check_pending()


def test_of_a_module_only_what_is_marked_is_taken() -> None:
    module = ModuleType("mine")
    exec(MODULE, vars(module))
    manager = build_manager(HOOKS)
    manager.register(module, "mine")
    assert {caller.name for caller in manager.get_hookcallers(module) or ()} == {"render", "start"}
    assert manager.hook.render(entry=7) == [7]
    assert manager.hook.start() == ["started"]


def test_an_unknown_argument_in_a_module_is_refused() -> None:
    module = ModuleType("mine")
    exec("from kubeshark.extension_api import hookimpl\n@hookimpl\ndef render(entry, colour): ...", vars(module))
    with pytest.raises(pluggy.PluginValidationError, match="colour"):
        build_manager(HOOKS).register(module, "mine")
