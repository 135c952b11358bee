"""kubeshark export [KFL] -o OUT: packets of a store as they were captured."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any, Literal

from kubeshark.cli.options._kfl import macros
from kubeshark.cli.options._store_option import add_store_option, add_time_options, store_path
from kubeshark.cli.terminal._complain import complain, manner, remark
from kubeshark.errors import UsageError

__all__ = ["add_parser"]

EXAMPLES = """examples:
  kubeshark export -o all.pcapng                            every packet, in capture order
  kubeshark export 'http && status_code >= 500' -o bad.pcap whole connections of the matches
  kubeshark export 'dst.port == 53' -o - | wireshark -k -i -
  kubeshark export 'dns && status_code != 0' --packets -o failed.pcapng       only what carried the matches
  kubeshark export --bpf 'tcp[tcpflags] & tcp-rst != 0' -o resets.pcap
  kubeshark export http -o - | gzip > http.pcap.gz
  kubeshark export 'host == "api.test"' -o api.har          HTTP exchanges for a browser's tools; secrets redacted
"""
FORMATS = ("pcap", "pcapng", "har")
COMPRESSORS = {".gz": "gzip", ".zst": "zstd"}


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
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--streams", action="store_true", help="whole connections of what matches (default)")
    chosen.add_argument("--packets", action="store_true", help="only the packets that carried what matches")
    parser.add_argument("--bpf", default="", metavar="BPF", help='only packets it lets through, e.g. "tcp port 443"')
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
    form = format_of(args)
    if form == "har" and (args.packets or args.bpf):
        raise UsageError(f"{'--packets' if args.packets else '--bpf'} is for packets", hint="a HAR file has none")
    if args.no_redact and form != "har":
        raise UsageError("--no-redact is for --format har", hint="packets are exported as they were captured")
    with Pipeline.open(store_path(args), create=False, macros=macros()) as pipeline:
        if form == "har":
            har = pipeline.export_har(
                args.kfl, args.out, since_ns=since_ns, until_ns=until_ns, with_secrets=args.no_redact
            )
            problems, notices, told = har.problems, har.notices, f"{har.entries:,} exchanges"
            told += f" ({har.skipped:,} entries that are not HTTP left out)" if har.skipped else ""
        else:
            packets: Literal["pcap", "pcapng"] = "pcapng" if form == "pcapng" else "pcap"
            result = pipeline.export(
                args.kfl,
                args.out,
                format=packets,
                since_ns=since_ns,
                until_ns=until_ns,
                bpf=args.bpf,
                packets_only=args.packets,
            )
            problems, notices, told = (
                result.problems,
                result.notices,
                f"{result.packets:,} packets, {result.bytes:,} bytes",
            )
    for notice in notices:
        remark(notice)
    for problem in problems:
        complain(problem)
    if args.out != "-" and not manner.is_quiet:
        print(f"exported {told} to {args.out}", file=sys.stderr)
    return 3 if problems else 0


def format_of(args: argparse.Namespace) -> str:
    """Return --format, else what OUT's ending says; raise UsageError for one that would be a lie."""
    ending = Path(args.out).suffix.lower()
    if ending in COMPRESSORS:
        raise UsageError(
            f"export does not compress: {args.out} would be a plain capture",
            hint=f"write -o - | {COMPRESSORS[ending]} > {args.out}",
        )
    form: str = args.format or next((each for each in FORMATS if ending == f".{each}"), "pcap")
    return form
