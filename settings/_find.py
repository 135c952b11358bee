"""Where the file is; imports nothing, for every command asks this first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from kubeshark.errors import UsageError

__all__ = ["DEFAULT_NAME", "VARIABLE", "config_path"]

DEFAULT_NAME = "kubeshark.yaml"
VARIABLE = "KUBESHARK_CONFIG"
HOME = "~/.kubeshark/config.yaml"


def config_path(path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the configuration file: the one named, else $KUBESHARK_CONFIG, ./kubeshark.yaml, the home's; or None.

    Raise UsageError when one is named that is not there.
    """
    named = path or environ.get(VARIABLE)
    if named:
        file = Path(named).expanduser()
        if not file.is_file():
            what = "--config-path" if path else f"${VARIABLE}"
            raise UsageError(f"{file}: there is no such configuration file", hint=f"{what} names it")
        return file
    return next((file for file in (Path(DEFAULT_NAME), Path(HOME).expanduser()) if file.is_file()), None)
