"""kubeshark logs: what a deployment says of itself, in a zip."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from kubeshark.cli.options._cluster_options import ClusterParser, cluster_of, settings_of
from kubeshark.cli.terminal._complain import complain

__all__ = ["add_parser"]


def add_parser(commands: Any, name: str, summary: str) -> None:
    made = commands.add_parser(
        name,
        help=summary,
        description="Write a zip of pod logs, events and objects of a deployment; Secrets are not in it. "
        "Exit code 3 if some logs could not be had.",
    )
    options = ClusterParser(made)
    options.common()
    options.text("-f", "--file", key="logs.file", summary="file to write", metavar="FILE")
    options.text("-g", "--grep", key="logs.grep", summary="lines to keep", metavar="REGEX")
    options.done(run)


def run(args: argparse.Namespace) -> int:
    from kubeshark.cluster import write_logs
    from kubeshark.errors import StoreError

    loaded = settings_of(args)
    release, logs = loaded.settings.tap.release, loaded.settings.logs
    path = Path(logs.file or time.strftime("kubeshark-logs-%Y-%m-%d-%H-%M-%S.zip")).expanduser()
    try:
        problems = write_logs(cluster_of(loaded), release.namespace, release.name, path, logs.grep)
    except FileExistsError as error:
        raise StoreError(f"{path} exists already", hint="name another with -f") from error
    for problem in problems:
        complain(problem)
    print(path)
    return 3 if problems else 0
