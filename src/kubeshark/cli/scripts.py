"""kubeshark scripts: which Kubeshark scripts there are, how those that run fare, and new ones for a hub."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from kubeshark.cli.options._cluster_options import ClusterParser
from kubeshark.cli.remote._deployment import add_hub_options, is_remote
from kubeshark.cli.terminal._complain import complain, printable
from kubeshark.cli.terminal._script_rows import show_row
from kubeshark.errors import UsageError

__all__ = ["add_parser"]

EXAMPLES = """examples:
  kubeshark plugin install count.js --allow-unsigned
  kubeshark scripts
  kubeshark scripts --output json
  kubeshark scripts --watch
  kubeshark scripts -s kubeshark                        those of a deployment
  kubeshark scripts -s kubeshark --push ./scripts       .js files go there, and again when they change, until Ctrl-C
  kubeshark scripts -s kubeshark --push ./scripts --once
  kubeshark scripts -s kubeshark --remove count.js

A process that runs scripts looks at their files once a second and loads what changed.
Configuration: scripts.toml in plugins.dir, or what $KUBESHARK_SCRIPTS names.
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description="List Kubeshark scripts: installed ones, those of configured folders, and where they run.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument("--watch", action="store_true", help="show it anew every two seconds, until Ctrl-C")
    parser.add_argument(
        "--push",
        action="append",
        default=[],
        metavar="DIR",
        help="its .js files to the hub; default: scripting.source(s)",
    )
    parser.add_argument("--once", action="store_true", help="push (by default scripting.source), and end")
    parser.add_argument("--remove", action="append", default=[], metavar="FILE", help="take a pushed one away")
    options = ClusterParser(parser)
    add_hub_options(options)
    options.done(run)


def run(args: argparse.Namespace) -> int:
    if is_remote(args):
        from kubeshark.cli.remote._remote_scripts import remote_scripts

        return remote_scripts(args)
    if args.push or args.remove or args.once:
        raise UsageError("--push and --remove are of a hub", hint="name it: -s NAMESPACE, or --hub URL")
    while True:
        code = _show(args.output)
        if not args.watch:
            return code
        time.sleep(2)
        print()


def _show(output: str) -> int:
    from kubeshark.pipeline.scripts import find_scripts, read_config, running, status_of

    scripts, problems = find_scripts(read_config())
    processes: list[dict[str, Any]] = []
    for place in running():
        processes += [{"pid": int(place.stem), **row} for row in status_of(place)]
    if output == "json":
        installed = [{"id": each.id, "title": each.title, "file": str(each.path)} for each in scripts]
        print(json.dumps({"scripts": installed, "running": processes, "problems": problems}, indent=1))
        return 1 if problems else 0
    if not scripts:
        print('no scripts: "kubeshark plugin install FILE.js"')
    for script in scripts:
        print(f"{script.id:<24} {printable(script.title)}")
        for row in processes:
            if row["id"] == script.id:
                show_row(row, f"process {row['pid']}")
    for problem in problems:
        complain(problem)
    return 1 if problems else 0
