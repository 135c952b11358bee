"""kubeshark check: what would be in the way of capturing here, and of tap."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kubeshark.cli._cluster_options import ClusterParser, cluster_of, settings_of
from kubeshark.cli._complain import printable

if TYPE_CHECKING:
    from kubeshark.cluster import Check

__all__ = ["add_parser"]


def add_parser(commands: Any, name: str, summary: str) -> None:
    made = commands.add_parser(
        name,
        help=summary,
        description="Look at this machine and at the cluster, and say what to do about what is wrong. Nothing is made. "
        "Exit code 1 if anything fails.",
    )
    options = ClusterParser(made)
    options.common()
    made.add_argument("--pre-tap", action="store_true", help="the cluster alone")
    made.add_argument("--pre-install", action="store_true", help="this machine alone")
    made.add_argument("--output", choices=("table", "json"), default="table")
    options.done(run)


def run(args: argparse.Namespace) -> int:
    from kubeshark.cli._local_checks import local_checks

    loaded = settings_of(args)
    found: list[Check] = [] if args.pre_tap else local_checks()
    if not args.pre_install:
        found += _of_cluster(args, loaded)
    if args.output == "json":
        print(json.dumps([asdict(each) for each in found], indent=1))
    else:
        width = max(len(each.name) for each in found)
        for each in found:
            remedy = f": {each.remedy}" if each.remedy else ""
            print(printable(f"{each.state:<5} {each.name:<{width}}  {each.said}{remedy}"))
    return 1 if any(each.state == "fail" for each in found) else 0


def _of_cluster(args: argparse.Namespace, loaded: Any) -> list[Check]:
    """Return the checks of the cluster; where none is configured that is a failure only if one was asked for."""
    from kubeshark.cluster import Check, run_checks
    from kubeshark.errors import ClusterError

    try:
        cluster = cluster_of(loaded)
    except ClusterError as error:
        return [Check("cluster", "fail" if args.pre_tap else "warn", error.message, error.hint)]
    return list(run_checks(cluster, loaded.settings))
