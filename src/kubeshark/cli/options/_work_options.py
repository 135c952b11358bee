"""The options that say which page of the entries, and how much work they may cost."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from kubeshark.cli.options._amounts import parse_size
from kubeshark.cli.options._configured import add_configured

if TYPE_CHECKING:
    from kubeshark.pipeline import QueryArguments, StoreQuery

__all__ = ["add_work_options", "page_lines", "parse_seconds", "work_options"]

EXECUTORS = ("inline", "process", "ray")
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def add_work_options(parser: argparse.ArgumentParser) -> None:
    page = parser.add_argument_group("pages")
    page.add_argument("--reverse", action="store_true", help="newest first")
    page.add_argument(
        "--after", type=given_cursor, metavar="CURSOR", help="go on behind this place, in the order shown"
    )
    page.add_argument(
        "--before", type=given_cursor, metavar="CURSOR", help="up to this place; with --limit the last N before it"
    )
    page.add_argument("--cursor", action="store_true", help="say on stderr with which options to go on, and back")
    work = parser.add_argument_group("work")
    add_configured(
        work,
        "--jobs",
        key="query.jobs",
        read=lambda jobs: jobs or None,
        type=parse_jobs,
        metavar="N",
        help="processes, this one included; default: one a CPU if it is worth it",
    )
    add_configured(
        work,
        "--executor",
        key="query.executor",
        read=lambda name: name if name in EXECUTORS else None,
        choices=EXECUTORS,
        default="process",
        help="who works: this process, processes of this machine, or for what is on object storage the Ray cluster of"
        " $RAY_ADDRESS; default: process",
    )
    add_configured(
        work,
        "--max-seconds",
        "--budget-time",
        key="query.maxSeconds",
        read=lambda duration: duration.seconds or None,
        type=parse_seconds,
        metavar="T",
        help="stop after 30, 5m, 1h; exit code 3; 0: no limit",
    )
    add_configured(
        work,
        "--max-bytes",
        "--budget-bytes",
        key="query.maxBytes",
        read=lambda size: size.bytes or None,
        type=parse_size,
        metavar="SIZE",
        help="stop after decrypting so much, e.g. 2GB; 0: no limit",
    )


def work_options(args: argparse.Namespace) -> QueryArguments:
    return {
        "order": "desc" if args.reverse else "asc",
        "after": args.after,
        "before": args.before,
        "max_seconds": args.max_seconds or None,
        "max_bytes": args.max_bytes or None,
    }


def page_lines(query: StoreQuery[Any]) -> list[str]:
    """Return the options that go on behind what was shown and before it, one a line; none where nothing is left."""
    places = (("--after", query.cursor), ("--before", query.cursor_back))
    return [f"{option} {cursor}" for option, cursor in places if cursor is not None]


def given_cursor(text: str) -> str:
    """Return a cursor; refuse an empty one: a script that has none left would begin anew, and never end."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the cursor is empty: there is nothing left, or leave the option out")
    return text


def parse_seconds(text: str) -> float:
    """Read 30, 0.5, 30s, 5m or 1h."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([smh]?)", text.strip().lower(), re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 30s, 5m or 1h")
    return float(found[1]) * UNITS[found[2]]


def parse_jobs(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,2}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes from 1 to 999")
    return int(text)
