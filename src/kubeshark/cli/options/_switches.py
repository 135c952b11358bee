"""The flags of every command that say how it speaks, and whether it asks: -q, --no-color, --yes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kubeshark.cli.terminal._complain import manner

__all__ = ["add_switches", "settle_switches", "take_switches"]

QUIET = frozenset({"-q", "--quiet"})
NO_COLOUR = frozenset({"--no-color"})
YES = frozenset({"--yes"})


def add_switches(parser: argparse.ArgumentParser) -> None:
    """Show them in the help: they are taken before arguments are parsed."""
    parser.add_argument("-q", "--quiet", action="store_true", help="errors and data alone: no progress, no notes")
    parser.add_argument("--no-color", action="store_true", help="no colours, on a terminal either")
    parser.add_argument("--yes", action="store_true", help="do not ask: what a command's own --yes says")


def take_switches(arguments: Sequence[str]) -> tuple[list[str], frozenset[str]]:
    """Return the arguments without them, and those that were there. They may stand anywhere before "--"."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    known = QUIET | NO_COLOUR | YES
    taken = known.intersection(arguments[:end])
    manner.is_quiet = not QUIET.isdisjoint(taken)
    manner.has_colours = NO_COLOUR.isdisjoint(taken)
    return [*(word for word in arguments[:end] if word not in known), *arguments[end:]], taken


def settle_switches(args: argparse.Namespace, taken: frozenset[str]) -> None:
    """Give a command that asks its answer."""
    args.yes = not YES.isdisjoint(taken)
