"""kubeshark dissect FILE...: one shot, no store left behind."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.cli.options._keylog_option import add_keylog_option
from kubeshark.cli.options._kfl import macros
from kubeshark.cli.options._scripts_option import add_scripts_option, running_scripts
from kubeshark.cli.terminal._complain import complain, manner
from kubeshark.cli.terminal._output import add_output_options, line_form, parse_fields, print_lists

if TYPE_CHECKING:
    from kubeshark.pipeline import Plugins

__all__ = ["add_parser"]

EXAMPLES = """examples:
  kubeshark dissect capture.pcap
  kubeshark dissect a.pcap b.pcapng.gz --filter 'http && status_code >= 500' --output jsonl
  kubeshark dissect capture.pcap --plugin ./my-plugin      with a plugin that is not installed
  tcpdump -w - -c 1000 | kubeshark dissect - --fields timestamp,src.ip,method,url
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description="Dissect capture files (pcap, pcapng, .gz, .zst, - for standard input) and print the entries.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--filter", default="", metavar="KFL", help="only entries that match")
    add_output_options(parser)
    add_keylog_option(parser)
    add_scripts_option(parser)
    parser.add_argument(
        "--plugin",
        metavar="ID|PATH",
        help="beside the built-in plugins only this one: an installed one, or the folder of one, which is built",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from kubeshark.pipeline import FileDissection, keep_freed_memory

    keep_freed_memory()
    with (
        running_scripts(args) as scripts,
        chosen_plugins(args.plugin) as plugins,
        FileDissection(
            args.files,
            args.filter,
            limit=args.limit,
            plugins=plugins,
            keylogs=args.keylog,
            scripts=scripts,
            macros=macros(),
        ) as dissection,
    ):
        fields = parse_fields(args.fields, dissection.variables)
        header, line = line_form(args, fields, with_file=len(args.files) > 1)
        print_lists(header, dissection.lists(line))
        for problem in dissection.problems if manner.is_quiet else dissection.report():
            complain(problem)
        return dissection.exit_code


@contextmanager
def chosen_plugins(name: str | None) -> Iterator[Plugins | None]:
    """Give the one plugin to use beside the built-in ones; None, all that are installed, where none is named."""
    if name is None:
        yield None
    elif Path(name).is_dir():
        from kubeshark.pipeline.plugins._trial import Trial

        with Trial(Path(name)) as trial:
            yield trial.plugins
    else:
        from kubeshark.pipeline import Plugins

        with Plugins.installed(name) as plugins:
            yield plugins
