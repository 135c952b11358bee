"""--max-bytes and --max-age of what captures: how much stays in the store."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kubeshark.cli.options._amounts import parse_age, parse_size
from kubeshark.cli.options._configured import add_configured

if TYPE_CHECKING:
    from kubeshark.core_capture.store import Retention

__all__ = ["add_retention_options", "retention_of"]


def add_retention_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "what stays",
        "The oldest segments go while packets come in; never what a snapshot names. When what schedules captured is too"
        " old, their expire says (capture.schedules), sooner or later than --max-age.",
    )
    add_configured(
        group,
        "--max-bytes",
        key="store.retention.bytes",
        read=lambda size: size.bytes or None,
        type=parse_size,
        metavar="SIZE",
        help="all segments together, e.g. 20GB (default: no limit)",
    )
    add_configured(
        group,
        "--max-age",
        key="store.retention.age",
        read=lambda age: int(age.seconds * 1e9) or None,
        type=parse_age,
        metavar="AGE",
        help="e.g. 12h, 30d (default: no limit)",
    )


def retention_of(args: argparse.Namespace) -> Retention | None:
    """Return what the options say, None for no limit."""
    if args.max_bytes is None and args.max_age is None:
        return None
    from kubeshark.core_capture.store import Retention

    return Retention(args.max_bytes, max_age_ns=args.max_age)
