"""kubeshark.yaml: one typed model of it, where each value came from, and the way back to a file.

loaded = load(overrides=["tap.namespaces=shop"])
loaded.settings.tap.namespaces, loaded.sources["tap.namespaces"]      ("shop",), "--set"
"""

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark.settings._find import config_path as config_path
    from kubeshark.settings._json_schema import json_schema as json_schema
    from kubeshark.settings._keys import Key as Key
    from kubeshark.settings._keys import keys as keys
    from kubeshark.settings._keys import value_of as value_of
    from kubeshark.settings._load import Loaded as Loaded
    from kubeshark.settings._load import load as load
    from kubeshark.settings._model import Schedule as Schedule
    from kubeshark.settings._model import Settings as Settings
    from kubeshark.settings._values import Duration as Duration
    from kubeshark.settings._values import Size as Size
    from kubeshark.settings._values import base_path_of as base_path_of
    from kubeshark.settings._windows import Windows as Windows
    from kubeshark.settings._windows import six_fields as six_fields
    from kubeshark.settings._windows import zone_of as zone_of
    from kubeshark.settings._yaml import to_yaml as to_yaml

__all__ = [
    "Duration",
    "Key",
    "Loaded",
    "Schedule",
    "Settings",
    "Size",
    "Windows",
    "base_path_of",
    "config_path",
    "json_schema",
    "keys",
    "load",
    "six_fields",
    "to_yaml",
    "value_of",
    "zone_of",
]

_HOMES = {
    "_find": "config_path",
    "_json_schema": "json_schema",
    "_keys": "Key keys value_of",
    "_load": "Loaded load",
    "_model": "Schedule Settings",
    "_values": "Duration Size base_path_of",
    "_windows": "Windows six_fields zone_of",
    "_yaml": "to_yaml",
}

__getattr__ = lazily(__name__, _HOMES)
