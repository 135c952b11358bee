"""kubeshark query [KFL]: entries of a store."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from kubeshark.cli.options._keylog_option import add_keylog_option
from kubeshark.cli.options._kfl import macros
from kubeshark.cli.options._store_option import add_store_option, add_time_options, store_path
from kubeshark.cli.options._work_options import add_work_options, page_lines, work_options
from kubeshark.cli.terminal._complain import complain, remark
from kubeshark.cli.terminal._output import add_output_options, line_form, parse_fields, print_lines, print_lists
from kubeshark.cli.terminal._progress import Progress
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.pipeline import Pipeline, StoreQuery

__all__ = ["add_parser"]

EXAMPLES = """examples:
  kubeshark query 'http && status_code >= 400'
  kubeshark query 'dns && status_code != 0' --since -1h --output jsonl
  kubeshark query http --fields timestamp,src.ip,method,url,status_code
  kubeshark query 'dst.ip.inCidr("10.0.0.0/8")' --explain
  kubeshark query http --reverse --limit 50 --cursor
  kubeshark query 'http && status_code >= 500' --follow
  kubeshark query dns --follow --since -5m --output jsonl
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
    parser.add_argument(
        "--follow",
        action="store_true",
        help="show new entries as they come, until Ctrl-C; with --since earlier ones first",
    )
    parser.add_argument("--explain", action="store_true", help="say on stderr what was pushed down, read and built")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from kubeshark.pipeline import Pipeline, QueryProgress, keep_freed_memory, parse_time

    now_ns = time.time_ns()
    store = Pipeline.open(store_path(args), create=False, keylogs=args.keylog, macros=macros())
    if args.follow:  # it lives long, and its buffers grow: what is freed goes back
        return _follow(store, args)
    keep_freed_memory()
    with store as pipeline, Progress("query") as progress:

        def show(told: QueryProgress) -> None:
            progress.show(told.done, told.total, f" {told.entries:,} entries")

        header, line = line_form(args, parse_fields(args.fields, pipeline.variables))
        options = work_options(args)
        options["since_ns"] = parse_time(args.since, now_ns) if args.since else None
        options["until_ns"] = parse_time(args.until, now_ns) if args.until else None
        options["limit"] = args.limit
        options["on_progress"] = show if args.output == "jsonl" or not sys.stdout.isatty() else None
        query = pipeline.map(line, args.kfl, jobs=args.jobs, executor=args.executor, **options)
        print_lists(header, query.lists())
        return report(query, args)


def _follow(store: Pipeline, args: argparse.Namespace) -> int:
    """Print entries as they come; Ctrl-C is how it is meant to end."""
    from kubeshark.pipeline import parse_time

    given = {"--until": args.until, "--reverse": args.reverse, "--after": args.after, "--before": args.before}
    given |= {"--max-seconds": args.max_seconds, "--max-bytes": args.max_bytes, "--explain": args.explain}
    given |= {"--cursor": args.cursor}
    if wrong := [name for name, value in given.items() if value]:
        raise UsageError(
            f"{wrong[0]} does not go with --follow", hint="it shows what comes, in time order, until Ctrl-C"
        )
    with store as pipeline:
        header, line = line_form(args, parse_fields(args.fields, pipeline.variables))
        since_ns = parse_time(args.since, time.time_ns()) if args.since else None
        follow = pipeline.follow(args.kfl, since_ns=since_ns)
        for notice in follow.notices:
            remark(notice)
        with pipeline.plugins.listening() as heard, suppress(KeyboardInterrupt):
            if args.limit != 0:
                print_lines(header, islice(follow.map(line), args.limit), at_once=True)
        problems = list(dict.fromkeys((*map(str, follow.problems), *heard)))
        for problem in problems:
            complain(problem)
        if follow.dropped:
            complain(str(follow.dropped))
        return 3 if problems or follow.dropped else 0


def report(query: StoreQuery[str], args: argparse.Namespace) -> int:
    """Say on stderr what there is to say; return the exit code."""
    if args.explain:
        for line in query.explain():
            print(line, file=sys.stderr)
    for notice in query.notices:
        remark(notice)
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
