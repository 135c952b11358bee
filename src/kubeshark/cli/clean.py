"""kubeshark clean: remove what tap made."""

from __future__ import annotations

import argparse
from typing import Any

from kubeshark.cli.options._cluster_options import ClusterParser, cluster_of, settings_of
from kubeshark.cli.terminal._complain import printable

__all__ = ["add_parser"]

DESCRIPTION = """Remove everything "kubeshark tap" made for this release, found by its labels, and nothing else. The
namespace goes if tap made it and nobody else has anything in it. What a Helm release made is Helm's to remove.
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    made = commands.add_parser(
        name, help=summary, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options = ClusterParser(made)
    options.common()
    made.add_argument("--keep-captures", action="store_true", help="leave the volume claims, and so the namespace")
    options.done(run)


def run(args: argparse.Namespace) -> int:
    from kubeshark.cluster import Deployment

    loaded = settings_of(args)
    cluster = cluster_of(loaded)
    release = loaded.settings.tap.release
    deployment = Deployment(cluster, release.name, release.namespace, lambda line: print(printable(line), flush=True))
    gone = deployment.clean(keep_captures=args.keep_captures)
    print(f"{gone} objects deleted" if gone else f"nothing of release {release.name} in namespace {release.namespace}")
    return 0
