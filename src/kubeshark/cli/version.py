"""kubeshark version"""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["add_parser"]

ENGINES = {"v8 (mini-racer)": "mini-racer", "wasmtime": "wasmtime", "cel": "cel-expr-python", "zstandard": "zstandard"}
BATCH_ABI = 1
SEGMENT_FORMAT = 1


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(name, help=summary, description="Print the version of kubeshark and of its engines.")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from importlib.metadata import PackageNotFoundError, version

    from kubeshark import __version__
    from kubeshark.core_capture import core_name

    versions = {"kubeshark": __version__, "core": core_name()}
    versions |= {"batch abi": str(BATCH_ABI), "segment format": str(SEGMENT_FORMAT)}
    for engine, package in ENGINES.items():
        try:
            versions[engine] = version(package)
        except PackageNotFoundError:
            versions[engine] = "not installed"
    if args.output == "json":
        import json

        print(json.dumps(versions))
    else:
        for key, value in versions.items():
            print(f"{key:<16} {value}")
    return 0
