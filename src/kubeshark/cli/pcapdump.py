"""kubeshark pcapdump: packets of all workers in one file, through the hub of a deployment."""

from __future__ import annotations

import argparse
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from kubeshark.cli.options._cluster_options import ClusterParser, settings_of
from kubeshark.cli.remote._deployment import asked_hub
from kubeshark.cli.terminal._complain import complain
from kubeshark.errors import UsageError

__all__ = ["add_parser"]

EXAMPLES = """examples:
  kubeshark pcapdump -s kubeshark                                  of the last hour (pcapdump.maxTime)
  kubeshark pcapdump --time 10m --filter 'http && status_code >= 500' --dest /tmp
  KUBESHARK_TOKEN=… kubeshark pcapdump --hub http://127.0.0.1:8898 --time 10m
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    made = commands.add_parser(
        name,
        help=summary,
        description="Write what all workers of a deployment captured into one pcap file, in capture order.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options = ClusterParser(made)
    options.text("--time", key="pcapdump.time", summary="of the last 10m, 1h, …", metavar="TIME")
    options.text("--dest", key="pcapdump.dest", summary="folder for the file; default: this one", metavar="DIR")
    made.add_argument("--filter", default="", metavar="KFL", help="whole connections of what matches")
    made.add_argument("--hub", metavar="URL", default="", help="this hub, with $KUBESHARK_TOKEN; no cluster is asked")
    options.common()
    options.done(run)


def run(args: argparse.Namespace) -> int:
    loaded = settings_of(args)
    limits = loaded.settings.pcapdump
    seconds = _seconds(limits.time) if limits.time else limits.max_time.seconds
    if seconds > limits.max_time.seconds:
        raise UsageError(f"--time {limits.time} is more than pcapdump.maxTime, {limits.max_time}")
    folder = Path(limits.dest).expanduser()
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="--dest DIR")
    now_ns = time.time_ns()
    asked = {"format": "pcap", "kfl": args.filter, "since": str(now_ns - int(seconds * 1e9)), "until": str(now_ns)}
    stamp = datetime.fromtimestamp(now_ns // 10**9, UTC).strftime("%Y%m%dT%H%M%SZ")
    path = folder / f"kubeshark-{stamp}.pcap"
    part = path.with_suffix(".part")
    with asked_hub(args.hub, loaded) as hub:
        try:
            # packets are in the clear here: for nobody but who asked
            with open(part, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as out:
                done = hub.download_pcap(f"/api/v1/export?{urlencode(asked)}", out, limits.max_size.bytes)
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
    print(f"{done.packets:,} packets, {done.bytes:,} bytes: {path}")
    for problem in done.problems:
        complain(problem)
    if done.is_cut:
        complain(f"pcapdump.maxSize, {limits.max_size}, is reached: later packets are left out")
    return 3 if done.is_cut or done.problems else 0


def _seconds(text: str) -> float:
    from kubeshark.settings._values import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--time: {error}") from None
