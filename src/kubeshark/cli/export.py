"""kubeshark export [KFL] -o OUT: packets of a store as they were captured."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, Literal

from kubeshark.cli.options._kfl import macros
from kubeshark.cli.options._store_option import add_store_option, add_time_options, store_path
from kubeshark.cli.terminal._complain import complain
from kubeshark.errors import UsageError

__all__ = ["add_parser"]

EXAMPLES = """examples:
  kubeshark export -o all.pcapng                            every packet, in capture order
  kubeshark export 'http && status_code >= 500' -o bad.pcap whole connections of the matches
  kubeshark export 'dst.port == 53' -o - | wireshark -k -i -
  kubeshark export 'host == "api.test"' -o api.har          HTTP exchanges for a browser's tools; secrets redacted
"""
FORMATS = ("pcap", "pcapng", "har")


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
    parser.add_argument("--format", choices=FORMATS, help="default: by OUT's ending, else pcap; har: HTTP, dissected")
    parser.add_argument("--no-redact", action="store_true", help="har: show authorization, cookies and other secrets")
    add_store_option(parser)
    add_time_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from kubeshark.pipeline import Pipeline, keep_freed_memory, parse_time

    keep_freed_memory()
    now_ns = time.time_ns()
    since_ns = parse_time(args.since, now_ns) if args.since else None
    until_ns = parse_time(args.until, now_ns) if args.until else None
    form = args.format or next((each for each in FORMATS if args.out.endswith(f".{each}")), "pcap")
    if args.no_redact and form != "har":
        raise UsageError("--no-redact is for --format har", hint="packets are exported as they were captured")
    with Pipeline.open(store_path(args), create=False, macros=macros()) as pipeline:
        if form == "har":
            har = pipeline.export_har(
                args.kfl, args.out, since_ns=since_ns, until_ns=until_ns, with_secrets=args.no_redact
            )
            problems, told = har.problems, f"{har.entries:,} exchanges"
            told += f" ({har.skipped:,} entries that are not HTTP left out)" if har.skipped else ""
        else:
            packets: Literal["pcap", "pcapng"] = "pcapng" if form == "pcapng" else "pcap"
            result = pipeline.export(args.kfl, args.out, format=packets, since_ns=since_ns, until_ns=until_ns)
            problems, told = result.problems, f"{result.packets:,} packets, {result.bytes:,} bytes"
    for problem in problems:
        complain(problem)
    if args.out != "-":
        print(f"exported {told} to {args.out}", file=sys.stderr)
    return 3 if problems else 0
