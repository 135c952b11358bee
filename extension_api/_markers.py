"""From hook dataclasses to pluggy: the marker plugins use, and the manager that knows every hook."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from inspect import Parameter, Signature
from typing import Any

import pluggy

from kubeshark.extension_api._hookspecs import Hook

__all__ = ["build_manager", "hookimpl"]

PROJECT = "kubeshark"
hookimpl = pluggy.HookimplMarker(PROJECT)
_hookspec = pluggy.HookspecMarker(PROJECT)


def _specification(hook: type[Hook]) -> Any:
    """Build the function pluggy reads argument names from: one parameter per dataclass field."""

    def specification(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("a specification is never called")

    names = [field.name for field in fields(hook)]
    specification.__name__ = hook.name
    specification.__doc__ = hook.__doc__
    specification.__signature__ = Signature(  # type: ignore[attr-defined]
        [Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)]
        + [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    )
    return _hookspec(specification)


def build_manager(hooks: Iterable[type[Hook]]) -> pluggy.PluginManager:
    """Return a pluggy manager that knows these hooks; an implementation of an unknown hook or argument is refused."""
    manager = pluggy.PluginManager(PROJECT)
    namespace = {hook.name: _specification(hook) for hook in hooks}
    manager.add_hookspecs(type("HookSpecifications", (), namespace))
    return manager
