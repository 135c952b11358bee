"""Kubeshark scripts: plain `.js` files with global hooks, run beside the flow (docs/plugins/scripts.md, ADR 13).

Loaded on first use: most commands run without scripts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubeshark.pipeline.scripts._config import ScriptsConfig as ScriptsConfig
    from kubeshark.pipeline.scripts._config import read_config as read_config
    from kubeshark.pipeline.scripts._console import ConsoleLine as ConsoleLine
    from kubeshark.pipeline.scripts._replay import import_with_scripts as import_with_scripts
    from kubeshark.pipeline.scripts._runtime import Scripts as Scripts
    from kubeshark.pipeline.scripts._script import Script as Script
    from kubeshark.pipeline.scripts._script import find_scripts as find_scripts
    from kubeshark.pipeline.scripts._script import package_script as package_script
    from kubeshark.pipeline.scripts._script import read_script as read_script
    from kubeshark.pipeline.scripts._served import ServedScripts as ServedScripts
    from kubeshark.pipeline.scripts._service import console_lines as console_lines
    from kubeshark.pipeline.scripts._service import running as running
    from kubeshark.pipeline.scripts._service import status_of as status_of

_PLACES = {
    "ScriptsConfig": "_config",
    "read_config": "_config",
    "ConsoleLine": "_console",
    "import_with_scripts": "_replay",
    "Scripts": "_runtime",
    "Script": "_script",
    "find_scripts": "_script",
    "package_script": "_script",
    "read_script": "_script",
    "ServedScripts": "_served",
    "console_lines": "_service",
    "running": "_service",
    "status_of": "_service",
}
__all__ = [
    "ConsoleLine",
    "Script",
    "Scripts",
    "ScriptsConfig",
    "ServedScripts",
    "console_lines",
    "find_scripts",
    "import_with_scripts",
    "package_script",
    "read_config",
    "read_script",
    "running",
    "status_of",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
