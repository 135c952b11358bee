"""The options that say which store, and from when to when."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from kubeshark.cli.options._configured import add_configured, configuration

__all__ = ["add_recipient_option", "add_store_option", "add_time_options", "join_times", "store_path"]

DEFAULT = "~/.kubeshark/store"


def add_store_option(parser: argparse.ArgumentParser) -> None:
    option = add_configured(
        parser,
        "--store",
        key="store.path",
        metavar="DIR|URL",
        help=f"folder or s3://BUCKET/PREFIX; default: $KUBESHARK_STORE, else {DEFAULT}",
    )
    configuration.offer(option, "store.url", lambda url: url or None)


def add_recipient_option(parser: argparse.ArgumentParser, what: str = "who may read it, by default you") -> None:
    add_configured(
        parser,
        "--recipient",
        key="store.recipients",
        action="append",
        default=[],
        metavar="age1…",
        help=f"{what} (repeat)",
    )


def store_path(args: argparse.Namespace) -> Path | str:
    """Return the folder, or the URL as it was given."""
    given = args.store or os.environ.get("KUBESHARK_STORE") or DEFAULT
    return given if "://" in given else Path(given).expanduser()


def add_time_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", metavar="T", help='RFC 3339, "2026-03-14 22:00" (local), now, or -15m')
    parser.add_argument("--until", metavar="T", help="the same")


def join_times(arguments: Sequence[str]) -> list[str]:
    """Write `--since -15m` as `--since=-15m`: argparse would take the time for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in ("--since", "--until") and re.fullmatch(r"-\d+[smhd]", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined
