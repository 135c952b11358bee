"""kubeshark export [KFL] -o OUT: packets of a store as they were captured."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from kubeshark.cli._output import complain
from kubeshark.cli._store_option import add_store_option, add_time_options, store_path

__all__ = ["add_parser"]

EXAMPLES = """examples:
  kubeshark export -o all.pcapng                            every packet, in capture order
  kubeshark export 'http && status_code >= 500' -o bad.pcap whole connections of the matches
  kubeshark export 'dst.port == 53' -o - | wireshark -k -i -
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description="Write packets byte for byte, in capture order; with KFL the whole connections of what matches.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kfl", nargs="?", default="", metavar="KFL")
    parser.add_argument("-o", "--out", required=True, metavar="OUT", help="file, or - for standard output")
    parser.add_argument("--format", choices=("pcap", "pcapng"), help="default: by OUT's ending, else pcap")
    add_store_option(parser)
    add_time_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from kubeshark.pipeline import Pipeline, keep_freed_memory, parse_time

    keep_freed_memory()
    now_ns = time.time_ns()
    with Pipeline.open(store_path(args), create=False) as pipeline:
        result = pipeline.export(
            args.kfl,
            args.out,
            format=args.format or ("pcapng" if args.out.endswith(".pcapng") else "pcap"),
            since_ns=parse_time(args.since, now_ns) if args.since else None,
            until_ns=parse_time(args.until, now_ns) if args.until else None,
        )
    for problem in result.problems:
        complain(problem)
    if args.out != "-":
        print(f"exported {result.packets:,} packets, {result.bytes:,} bytes to {args.out}", file=sys.stderr)
    return 3 if result.problems else 0
