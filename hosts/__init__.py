"""Runs foreign code: one sandboxed child process a plugin, fed with batch frames (docs/adr/0003-batch-abi.md).

Loaded on first use, because the zygote and its children import this package too and need little of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubeshark.hosts._adapter import ForeignPlugin as ForeignPlugin
    from kubeshark.hosts._supervisor import PluginProcess as PluginProcess
    from kubeshark.hosts._supervisor import PluginState as PluginState
    from kubeshark.hosts._supervisor import PluginStatus as PluginStatus
    from kubeshark.hosts._supervisor import Supervision as Supervision

__all__ = ["ForeignPlugin", "PluginProcess", "PluginState", "PluginStatus", "Supervision"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "_adapter" if name == "ForeignPlugin" else "_supervisor"
    return getattr(import_module(f"{__name__}.{module}"), name)
