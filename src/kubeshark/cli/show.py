"""kubeshark show ID: one entry with all its parts."""

from __future__ import annotations

import argparse
from typing import Any

from kubeshark._json import json_text
from kubeshark.cli.options._keylog_option import add_keylog_option
from kubeshark.cli.options._store_option import add_store_option, store_path
from kubeshark.cli.terminal._complain import complain

__all__ = ["add_parser"]


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description="Dissect one stream again and show one entry of it. Ids come from query.",
        epilog="example: kubeshark show 20260314T220300Z-lab-0001-41-0 --hex",
    )
    parser.add_argument("id", metavar="ID")
    add_store_option(parser)
    add_keylog_option(parser)
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument("--hex", action="store_true", help="text: also the bytes as they were on the wire")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from kubeshark.errors import KubesharkError, StoreError, UsageError
    from kubeshark.pipeline import Pipeline, to_hex, to_text

    if args.hex and args.output != "text":
        raise UsageError("--hex is for --output text")
    problems: list[KubesharkError] = []
    with Pipeline.open(store_path(args), create=False, keylogs=args.keylog) as pipeline:
        with pipeline.plugins.listening() as heard:  # plugins are asked while it is shown, too
            entry = pipeline.entry(args.id, problems)
            if entry is not None:
                print(json_text(entry.to_dict()) if args.output == "json" else to_text(entry.representation()))
                if args.hex and (text := to_hex(entry)):
                    print(f"\n{text}")
        told = dict.fromkeys((*map(str, problems), *heard))
        for problem in told:
            complain(problem)
        if entry is None:
            raise StoreError(f"no entry {args.id}", hint="its segment was pruned, or other plugins dissect it now")
    return 3 if told else 0
