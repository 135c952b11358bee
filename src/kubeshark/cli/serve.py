"""kubeshark serve: a store as JSON and a plain page, on this machine."""

from __future__ import annotations

import argparse
import re
from typing import Any

from kubeshark.cli._complain import complain
from kubeshark.cli._keylog_option import add_keylog_option
from kubeshark.cli._store_option import add_store_option, store_path

__all__ = ["add_parser"]

CACHE_MB = 256
"""Who refines a filter asks for the same packets again: a laptop has this much to spare."""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description="Serve a store until Ctrl-C. The printed URL carries a token that is needed for everything.",
        epilog="example: kubeshark serve --store ./store --port 8899",
    )
    add_store_option(parser)
    add_keylog_option(parser)
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument("--port", type=int, default=8899, help="default: 8899; 0 picks a free one")
    parser.add_argument("--insecure", action="store_true", help="serve without TLS on an address others can reach")
    parser.add_argument(
        "--cache-mb",
        type=parse_megabytes,
        default=CACHE_MB,
        metavar="MB",
        help=f"decrypted packets kept in memory between queries, never on disk; default: {CACHE_MB}; 0: none",
    )
    parser.set_defaults(run=run)


def parse_megabytes(text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of megabytes from 0 to 999999")
    return int(text)


def run(args: argparse.Namespace) -> int:
    from kubeshark.errors import UsageError
    from kubeshark.hub import serve
    from kubeshark.pipeline import Pipeline
    from kubeshark.pipeline._scheduler import Scheduler

    if not 0 <= args.port <= 65_535:
        raise UsageError(f"--port {args.port} is not a port", hint="use 0 to 65535")
    with (
        Pipeline.open(store_path(args), create=False, keylogs=args.keylog, cache_bytes=args.cache_mb << 20) as pipeline,
        Scheduler(pipeline.plugins.jobs, complain, take_log=pipeline.plugins.take_log),
    ):
        serve(
            pipeline,
            host=args.host,
            port=args.port,
            insecure=args.insecure,
            announce=lambda url: print(f"serving {store_path(args)} at {url}", flush=True),
        )
    return 0
