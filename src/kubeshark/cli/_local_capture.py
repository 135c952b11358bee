"""serve -i IFACE: a capture of this machine beside the hub that shows it, in a process of its own.

The process is a worker's (`worker/_captures.py`): it has recipients and no identity, gives up its capabilities, and is
begun again if it dies. What the hub suffers it does not.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kubeshark.cli._upload import add_upload_option, upload_url, uploading
from kubeshark.cli.options._configured import configuration
from kubeshark.cli.options._retention_options import add_retention_options, retention_of
from kubeshark.cli.options._schedules import archive_for, schedules
from kubeshark.cli.options._store_option import store_path
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.pipeline import Pipeline

__all__ = ["NO_LOCAL_CAPTURE", "add_local_capture_options", "capturing_beside", "check_local_capture"]

NO_LOCAL_CAPTURE = {"interface": [], "filter": "", "upload": ""}
"""What its options say in a command that has none of them."""

SEGMENT_SECONDS = 300.0


def add_local_capture_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-i",
        "--interface",
        action="append",
        default=[],
        metavar="IFACE",
        help='also capture from it into the store (repeat), or "any"; needs CAP_NET_RAW',
    )
    parser.add_argument("-f", "--filter", default="", metavar="BPF", help='of what is captured, e.g. "port 53"')
    add_retention_options(parser)
    add_upload_option(parser)


def check_local_capture(args: argparse.Namespace) -> None:
    """Raise UsageError or CaptureError, before anything is served, for what the capture would stumble over."""
    if not args.interface:
        for option, value in (("--filter", args.filter), ("--upload", args.upload)):
            if value:
                raise UsageError(f"{option} is of what is captured", hint="give an interface: -i eth0")
        return
    archive_for(schedules(), upload_url(args))
    if isinstance(store_path(args), str):
        raise UsageError(f"serve -i captures into a folder, not into {store_path(args)}")
    from kubeshark.core_capture.live import LiveOptions, LiveSource

    LiveSource(args.interface, LiveOptions(filter=_filter(args), ring_bytes=0)).close()


@contextmanager
def capturing_beside(args: argparse.Namespace, pipeline: Pipeline, log: Callable[[str], None]) -> Iterator[None]:
    """Capture while the block runs, if interfaces are given; what is in memory is sealed at its end."""
    if not args.interface:
        yield
        return
    from kubeshark.core_capture.store import default_node
    from kubeshark.worker._captures import Captures
    from kubeshark.worker._choosing import Choosing
    from kubeshark.worker._status import Order

    retention = retention_of(args)
    order = Order(
        parent=os.getpid(),
        store=str(Path(store_path(args)).resolve()),
        node=default_node(),
        interfaces=args.interface,
        bpf=_filter(args),
        recipients=[str(identity.recipient) for identity in pipeline.store.identities],
        segment_seconds=SEGMENT_SECONDS,
        max_bytes=retention.max_bytes if retention else None,
        max_age_ns=retention.max_age_ns if retention else None,
    )
    windows = schedules()
    captures = Captures(order, log, Choosing(order.node, schedules=windows) if windows else None)
    with uploading(store_path(args), archive_for(windows, upload_url(args))) as begin_uploads:
        begin_uploads()
        captures.start()
        try:
            yield
        finally:
            captures.stop()


def _filter(args: argparse.Namespace) -> str:
    """Return --filter, else the configuration's: no option of that key, `serve` alone captures nothing."""
    return args.filter or configuration.value("tap.bpfOverride") or ""
