"""kubeshark.yaml and --set as defaults of options: a flag wins over the environment, it over the file; --set over all.

Options say their key (`add_configured`), and their help shows it. Where there is no file and no --set, nothing is
loaded but the module that looks for one.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kubeshark.cli.terminal._complain import remark
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.settings import Loaded

__all__ = ["Configuration", "add_configured", "configuration", "take_global_flags"]

TAKEN = {"--set": "overrides", "--config-path": "path"}
VARIABLES = {
    "store.identityFile": "KUBESHARK_IDENTITY",
    "plugins.dir": "KUBESHARK_PLUGINS",
    "tap.snapshots.cloud.s3.region": "AWS_REGION",
    "tap.snapshots.cloud.s3.endpoint": "AWS_ENDPOINT_URL",
    "tap.snapshots.cloud.s3.roleArn": "KUBESHARK_S3_ROLE_ARN",
    "tap.snapshots.cloud.s3.externalId": "KUBESHARK_S3_EXTERNAL_ID",
}
"""Keys that rooms below, and processes they start, read from the environment."""


class _Option(NamedTuple):
    dest: str
    value: Any
    wins: bool  # over a flag: it was given by --set
    is_list: bool


class Configuration:
    """What a run of the command line reads its configuration from."""

    def __init__(self) -> None:
        self.begin(None, [])

    def begin(self, path: str | None, overrides: list[str], *, is_off: bool = False) -> None:
        """Forget the run before. `is_off`: this one has no configuration."""
        self.path, self.overrides = path, overrides
        self._loaded: Loaded | None = None
        self._is_read = is_off
        self._options: list[_Option] = []

    def loaded(self) -> Loaded | None:
        """Return the configuration where a file or --set says anything, else None; raise UsageError."""
        if self._is_read:
            return self._loaded
        from kubeshark.settings._find import config_path  # the package's other modules cost 30 ms

        self._is_read = True
        if self.overrides or config_path(self.path) is not None:
            from kubeshark.settings import load

            self._loaded = load(self.path, overrides=self.overrides)
            for warning in self._loaded.warnings:
                remark(f"warning: {warning}")
        return self._loaded

    def value(self, key: str) -> Any:
        """Return what somebody set for a key; None where nobody did."""
        loaded = self.loaded()
        if loaded is None or not loaded.is_given(key):
            return None
        from kubeshark.settings import value_of

        return value_of(loaded.settings, key)

    def offer(self, action: argparse.Action, key: str, read: Callable[[Any], Any]) -> None:
        """Make the value of a key the default of an option."""
        value = self.value(key)
        if value is None or (value := read(value)) is None:
            return
        assert self._loaded is not None
        is_list = isinstance(action.default, list)
        if not is_list:
            action.default = value
        wins = self._loaded.sources[key] == "--set"
        self._options.append(_Option(action.dest, list(value) if is_list else value, wins, is_list))

    def settle(self, args: argparse.Namespace) -> None:
        """Give options their values that flags do not win over, and set what other processes read."""
        for option in self._options:
            if hasattr(args, option.dest) and (option.wins or (option.is_list and not getattr(args, option.dest))):
                setattr(args, option.dest, option.value)
        loaded = self.loaded()
        for key, variable in VARIABLES.items():
            value = self.value(key)
            wins = loaded is not None and loaded.sources[key] == "--set"
            if value and (wins or not os.environ.get(variable)):
                os.environ[variable] = value


configuration = Configuration()
"""Of the run that goes on: `main` begins it before it builds a parser."""


def add_configured(
    parser: Any, *names: str, key: str, read: Callable[[Any], Any] = lambda value: value, **rest: Any
) -> argparse.Action:
    """Add an option whose default the key of the configuration is; `read` turns its value into the option's.

    `read` may return None for a value that leaves the option as it is.
    """
    action: argparse.Action = parser.add_argument(*names, **{**rest, "help": f"{rest['help']} [{key}]"})
    configuration.offer(action, key, read)
    return action


def take_global_flags(arguments: Sequence[str]) -> tuple[list[str], str | None, list[str]]:
    """Return the arguments without --set and --config-path, the path, and what is set. They may stand anywhere.

    Behind `plugin`, --set is that command's own.
    """
    rest: list[str] = []
    path: str | None = None
    overrides: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if word == "--":
            return [*rest, word, *words], path, overrides
        is_other = name == "--set" and "plugin" in rest[:1]
        if name not in TAKEN or is_other:
            rest.append(word)
            continue
        if not equals:
            given = next(words, None)
            if given is None:
                raise UsageError(f"{name} needs a value", hint="--set key.path=value, --config-path FILE")
            value = given
        if name == "--set":
            overrides.append(value)
        else:
            path = value
    return rest, path, overrides
