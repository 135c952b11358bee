"""kubeshark store upload, and the option --upload of what captures: copies of sealed segments go to an archive."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kubeshark.cli.options._store_option import store_path
from kubeshark.cli.terminal._complain import complain
from kubeshark.cli.terminal._progress import Progress
from kubeshark.errors import StoreError, UsageError

__all__ = ["CATALOGUE", "UPLOAD", "add_upload_option", "run_catalogue", "run_upload", "upload_url", "uploading"]

CATALOGUE = """Write the catalogue of a store anew, or of every node of an archive: what each index says in short. Nodes
cannot read what they upload, so nobody has written it yet for what came since the last time. A query reads it first,
and then only the indexes of segments that may hold something; without it, it reads every index.

example:
  kubeshark store catalogue --store s3://captures/lab
"""

UPLOAD = """Copy the sealed segments of a store in a folder to an archive on object storage, those that are not there.
Nothing is decrypted: no identity is needed. When it is interrupted, run it again: it goes on where it was. The archive
of several nodes is queried as one: kubeshark query --store s3://BUCKET/PREFIX. Where some of the schedules that
captured here said upload: true, segments of the others are left out.

examples:
  kubeshark store upload s3://captures/lab
  kubeshark store upload s3://captures/lab --node node-1 --store /var/lib/kubeshark
"""

DRAIN_SECONDS = 30.0
"""After a capture, for what was sealed last; the next capture or "store upload" goes on with the rest."""


def add_upload_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--upload",
        metavar="URL",
        default="",
        help="copy sealed segments to an archive, s3://BUCKET/PREFIX, there to a prefix of this node's name;"
        " credentials come from the environment",
    )


def upload_url(args: argparse.Namespace) -> str:
    """Return the archive, "" for none; raise UsageError for what is none, before anything is captured."""
    url: str = args.upload
    if url:
        from kubeshark.core_capture.store import archive_url

        archive_url(url, "any")
    return url


@contextmanager
def uploading(store: Path | str, url: str) -> Iterator[Callable[[], None]]:
    """Upload what is sealed in the folder, and what is left when the block ends; give what begins it, if called once.

    It begins when the capture has given up its capabilities: threads that ran before would keep them.
    """
    if not url:
        yield lambda: None
        return
    if isinstance(store, str):
        raise UsageError(f"{store} is on object storage already", hint="leave --upload out, or capture into a folder")
    from kubeshark.core_capture.store import Uploader, archive_url, default_node

    uploader = Uploader(store, archive_url(url, default_node()), log=complain)
    try:
        yield uploader.start
    finally:
        uploader.start()
        uploader.stop(DRAIN_SECONDS)
        status = uploader.status
        if status.waiting:
            complain(f'{status.waiting:,} segments are not uploaded yet: "kubeshark store upload" goes on with them')


def run_catalogue(args: argparse.Namespace) -> int:
    from kubeshark.core_capture.store import open_store

    store = open_store(store_path(args))
    count = store.write_catalogue()
    for problem in store.problems:
        complain(problem)
    print(json.dumps({"segments": count}) if args.output == "json" else f"{count:,} segments are in the catalogue")
    return 3 if store.problems else 0


def run_upload(args: argparse.Namespace) -> int:
    from msgspec.structs import asdict

    from kubeshark.core_capture.store import Uploader, archive_url, default_node

    store = store_path(args)
    if isinstance(store, str):
        raise UsageError(f"{store} is on object storage already", hint="give a folder")
    if not store.is_dir():
        raise StoreError(f"no store at {store}")
    with Progress("uploading") as progress:
        uploader = Uploader(
            store,
            archive_url(args.url, args.node or default_node()),
            log=complain,
            on_progress=lambda now: progress.show(now.uploaded_bytes, now.uploaded_bytes + now.waiting_bytes),
        )
        status = uploader.run_once()
    if args.output == "json":
        print(json.dumps(asdict(status)))
    else:
        print(f"{status.uploaded:,} segments, {status.uploaded_bytes:,} bytes, are at {status.url}")
        if status.left_out:
            print(f"{status.left_out:,} segments are left out: their schedules do not say upload: true")
    return 3 if status.waiting or status.lost else 0
