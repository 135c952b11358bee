"""kubeshark store info|verify: what a store holds, and whether it is whole."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from kubeshark.cli._store_option import add_store_option, store_path

__all__ = ["add_parser"]


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(name, help=summary, description="Look after a store.")
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    for action, text, function in (
        ("info", "segments, time range, flows, sizes, imports, leftovers", run_info),
        ("verify", "authenticate every byte and name the exact damage", run_verify),
    ):
        sub = actions.add_parser(action, help=text, description=text.capitalize() + ".")
        add_store_option(sub)
        sub.add_argument("--output", choices=("text", "json"), default="text")
        sub.set_defaults(run=function)


def run_info(args: argparse.Namespace) -> int:
    from kubeshark.pipeline import Pipeline

    with Pipeline.open(store_path(args), create=False) as pipeline:
        info = pipeline.info()
    if args.output == "json":
        print(json.dumps(info))
        return 0
    for key, value in info.items():
        if key == "segments":
            continue
        print(f"{key:<18} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    for segment in info["segments"]:
        print(f"  {segment['name']}  {segment['packets']:>10,} packets  {segment['flows']:>8,} flows  {segment['bytes']:>12,} B")
    return 0


def run_verify(args: argparse.Namespace) -> int:
    from kubeshark.pipeline import Pipeline

    with Pipeline.open(store_path(args), create=False) as pipeline:
        problems = pipeline.verify()
    if args.output == "json":
        print(json.dumps({"problems": problems}))
    else:
        for problem in problems:
            print(f"kubeshark: {problem}", file=sys.stderr)
        if not problems:
            print("every chunk of every file is authentic")
    return 1 if problems else 0
