"""Which module runs which language: those that are here, and those that other packages add.

A package adds a language with an entry point of the group `kubeshark.hosts`: its name is what `language` says in
plugin.toml, its value a module with

* `SANDBOX`, `prepare` and `open_instance`, as hosts/_instance.py says: imported by the zygote, they run in the child;
* `build(folder, manifest)`, if there is something to build or to check; raises PluginError. It runs where `kubeshark
  plugin build` does, with the rights of whoever typed that.

Such a package is trusted code, like a Python plugin: it decides what its sandbox allows. Plugins in its language are
not.
An added language never replaces one of ours.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType

from kubeshark.extension_api._manifest import HOST_ENTRY_POINTS

__all__ = ["added_host", "host_module"]

_OURS = {
    "c": "kubeshark.hosts.c._instance",
    "cpp": "kubeshark.hosts.c._instance",
    "go": "kubeshark.hosts.go._instance",
    "js": "kubeshark.hosts.js._instance",
    "script": "kubeshark.hosts.js.scripts._serve",  # Kubeshark's scripts; no language of a plugin.toml
}


def host_module(language: str) -> str:
    """Return the name of the module that runs a language; LookupError if nobody, or more than one, offers it."""
    if language in _OURS:
        return _OURS[language]
    found = sorted({point.value for point in entry_points(group=HOST_ENTRY_POINTS, name=language)})
    if not found:
        raise LookupError(f"there is no host for {language}")
    if len(found) > 1:
        raise LookupError(f"{language} is offered by {' and '.join(found)}: uninstall all but one")
    return found[0]


def added_host(language: str) -> ModuleType:
    """Import the module of an added language; LookupError if nobody offers it."""
    return import_module(host_module(language))
