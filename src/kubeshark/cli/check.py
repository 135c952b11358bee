"""kubeshark check: what would be in the way of capturing here, and of tap."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

from kubeshark.cli.options._cluster_options import ClusterParser, cluster_of, settings_of
from kubeshark.cli.terminal._complain import printable

if TYPE_CHECKING:
    from kubeshark.cluster import Check, Cluster
    from kubeshark.settings import Loaded

__all__ = ["add_parser", "show_checks"]


def add_parser(commands: Any, name: str, summary: str) -> None:
    made = commands.add_parser(
        name,
        help=summary,
        description="Look at this machine and at the cluster, and say what to do about what is wrong. Nothing is made "
        "unless --image-pull or --store says so, and that is taken away again. Exit code 1 if anything fails.",
    )
    options = ClusterParser(made)
    options.common()
    made.add_argument("--pre-tap", action="store_true", help="the cluster alone")
    made.add_argument("--pre-install", action="store_true", help="this machine alone")
    made.add_argument(
        "--image-pull", action="store_true", help="also have nodes pull the images: a pod for each, deleted afterwards"
    )
    made.add_argument(
        "--store", action="store_true", help="also the store, and the archive: an object is written, read and deleted"
    )
    made.add_argument("--wait", default="2m", metavar="TIME", help="for images to be pulled; default: 2m")
    made.add_argument("--output", choices=("table", "json"), default="table")
    options.done(run)


def run(args: argparse.Namespace) -> int:
    from kubeshark.cli.checks._local_checks import local_checks

    loaded = settings_of(args)
    found: list[Check] = [] if args.pre_tap else local_checks()
    cluster: Cluster | None = None
    if not args.pre_install:
        cluster, said = _of_cluster(args, loaded)
        found += said
    if args.store:
        from kubeshark.cli.checks._store_checks import store_checks

        found += store_checks(loaded.settings, cluster, is_local=not args.pre_tap)
    if args.output == "json":
        print(json.dumps([asdict(each) for each in found], indent=1))
    else:
        show_checks(found)
    return 1 if any(each.state == "fail" for each in found) else 0


def show_checks(found: Sequence[Check], file: TextIO | None = None) -> None:
    """Print a table."""
    width = max((len(each.name) for each in found), default=0)
    for each in found:
        remedy = f": {each.remedy}" if each.remedy else ""
        print(printable(f"{each.state:<5} {each.name:<{width}}  {each.said}{remedy}"), file=file)


def _of_cluster(args: argparse.Namespace, loaded: Loaded) -> tuple[Cluster | None, list[Check]]:
    """Return the cluster, None if it cannot be asked, and its checks; where none is configured that is a failure only
    if one was asked for.
    """
    from kubeshark.cluster import Check, pull_checks, run_checks
    from kubeshark.cluster._wait import seconds_of
    from kubeshark.errors import ClusterError

    wait_s = seconds_of(args.wait)
    try:
        cluster = cluster_of(loaded)
    except ClusterError as error:
        is_needed = args.pre_tap or args.image_pull
        return None, [Check("cluster", "fail" if is_needed else "warn", error.message, error.hint)]
    found = list(run_checks(cluster, loaded.settings))
    if found[0].state == "fail":
        return None, found
    if args.image_pull:
        found += pull_checks(cluster, loaded.settings, wait_s)
    return cluster, found
