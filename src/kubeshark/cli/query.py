"""kubeshark query [KFL]: entries of a store."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from kubeshark.cli._complain import complain
from kubeshark.cli._keylog_option import add_keylog_option
from kubeshark.cli._output import add_output_options, line_form, parse_fields, print_lines
from kubeshark.cli._progress import Progress
from kubeshark.cli._store_option import add_store_option, add_time_options, store_path
from kubeshark.cli._work_options import add_work_options, page_lines, work_options

if TYPE_CHECKING:
    from kubeshark.pipeline import StoreQuery

__all__ = ["add_parser"]

EXAMPLES = """examples:
  kubeshark query 'http && status_code >= 400'
  kubeshark query 'dns && status_code != 0' --since -1h --output jsonl
  kubeshark query http --fields timestamp,src.ip,method,url,status_code
  kubeshark query 'dst.ip.inCidr("10.0.0.0/8")' --explain
  kubeshark query http --reverse --limit 50 --cursor
  kubeshark query --jobs 4 --max-seconds 30 --output jsonl
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description="Dissect what a KFL expression selects, in time order. Without one: all messages and connections.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kfl", nargs="?", default="", metavar="KFL")
    add_store_option(parser)
    add_output_options(parser)
    add_time_options(parser)
    add_keylog_option(parser)
    add_work_options(parser)
    parser.add_argument("--explain", action="store_true", help="say on stderr what was pushed down, read and built")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from kubeshark.pipeline import Pipeline, QueryProgress, keep_freed_memory, parse_time

    keep_freed_memory()
    now_ns = time.time_ns()
    store = Pipeline.open(store_path(args), create=False, keylogs=args.keylog)
    with store as pipeline, Progress("query") as progress:

        def show(told: QueryProgress) -> None:
            progress.show(told.done, told.total, f" {told.entries:,} entries")

        header, line = line_form(args, parse_fields(args.fields, pipeline.variables))
        options = work_options(args)
        options["since_ns"] = parse_time(args.since, now_ns) if args.since else None
        options["until_ns"] = parse_time(args.until, now_ns) if args.until else None
        options["limit"] = args.limit
        options["on_progress"] = show if args.output == "jsonl" or not sys.stdout.isatty() else None
        query = pipeline.map(line, args.kfl, jobs=args.jobs, **options)
        print_lines(header, query)
        return report(query, args)


def report(query: StoreQuery[str], args: argparse.Namespace) -> int:
    """Say on stderr what there is to say; return the exit code."""
    if args.explain:
        for line in query.explain():
            print(line, file=sys.stderr)
    for notice in query.notices:
        complain(notice)
    for problem in query.problems:
        complain(problem)
    if query.stopped:
        backwards = args.before is not None and args.limit is not None
        option, cursor = ("--before", query.cursor_back) if backwards else ("--after", query.cursor)
        complain(f"{query.stopped}: there may be more: go on with {option} {cursor}")
    if args.cursor:
        for line in page_lines(query):
            print(line, file=sys.stderr)
    return 3 if query.problems or query.stopped else 0
