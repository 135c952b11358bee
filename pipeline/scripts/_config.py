"""`scripts.toml`: which scripts run, on what, and what their `env` is.

<plugins.dir>/scripts.toml, or what $KUBESHARK_SCRIPTS names; without it every installed script runs on everything
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from kubeshark.errors import UsageError
from kubeshark.pipeline.plugins._state import plugins_folder

__all__ = ["CONFIG_NAME", "ScriptsConfig", "config_path", "parse_config", "read_config"]

CONFIG_NAME = "scripts.toml"
MAX_BYTES = 1 << 20


class ScriptsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Kubeshark's `scripting.*`, and ours: `filter`, `group`, `rawMetricNames`. Keys of tables are titles or ids."""

    enabled: bool = True
    source: str = ""  # a folder of .js files that run without being installed, and without permissions
    sources: list[str] = []
    watch_scripts: bool = True
    active: list[str] | None = None  # titles or ids; without it all
    env: dict[str, str | int | float | bool] = {}
    filter: dict[str, str] = {}  # KFL: what onItemCaptured gets
    group: dict[str, str] = {}  # scripts of one group share one isolate
    timezone: str = "UTC"
    raw_metric_names: bool = False

    @property
    def folders(self) -> list[Path]:
        return [Path(each).expanduser() for each in (self.source, *self.sources) if each]

    @property
    def environment(self) -> dict[str, str]:
        """`env` as scripts see it: strings."""
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in self.env.items()}


def config_path() -> Path:
    named = os.environ.get("KUBESHARK_SCRIPTS")
    return Path(named) if named else plugins_folder() / CONFIG_NAME


def read_config(path: Path | None = None) -> ScriptsConfig:
    """Read the configuration; the defaults if there is none. UsageError says what is wrong with it."""
    place = path or config_path()
    try:
        with place.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return ScriptsConfig()
    if len(data) > MAX_BYTES:
        raise UsageError(f"{place} is larger than {MAX_BYTES:,} bytes")
    return parse_config(data, str(place))


def parse_config(data: bytes, place: str = CONFIG_NAME) -> ScriptsConfig:
    try:
        config = msgspec.convert(tomllib.loads(data.decode("utf-8")), ScriptsConfig)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise UsageError(f"{place}: {error}", hint="docs/plugins/scripts.md shows every key") from error
    try:
        ZoneInfo(config.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UsageError(f"{place}: there is no time zone {config.timezone!r}", hint='for example "UTC"') from error
    return config
