"""Finds the command, runs it, and turns what went wrong into one line and an exit code.

Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 partly done (what was not is said on stderr), 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from itertools import takewhile
from typing import Any, NoReturn

from kubeshark import __version__
from kubeshark.cli.options._configured import configuration, take_global_flags
from kubeshark.cli.options._store_option import join_times
from kubeshark.cli.options._switches import add_switches, settle_switches, take_switches
from kubeshark.cli.terminal._complain import complain
from kubeshark.errors import KubesharkError

__all__ = ["command", "main"]

COMMANDS = {
    "init": ("init", "make a kubeshark.yaml by answering questions"),
    "config": ("config", "show the configuration in force, and where each value came from"),
    "import": ("import_", "read capture files into an encrypted store"),
    "capture": ("capture", "capture packets of interfaces into an encrypted store"),
    "query": ("query", "show entries that match a KFL filter"),
    "show": ("show", "show one entry with all its parts"),
    "dissect": ("dissect", "dissect capture files, leaving nothing behind"),
    "export": ("export", "write packets of a store as pcap or pcapng"),
    "serve": ("serve", "serve a store as JSON and a plain page"),
    "mcp": ("mcp", "serve a store over the Model Context Protocol"),
    "firewall": ("firewall", "try firewall policies on recorded traffic, and learn them from it"),
    "worker": ("worker", "keep and serve the packets of one node, for a hub"),
    "hub": ("hub", "the hub of a cluster; make, list and revoke tokens"),
    "tap": ("tap", "deploy to a Kubernetes cluster and look at its traffic"),
    "check": ("check", "say what would be in the way, here and in a cluster"),
    "clean": ("clean", "remove what tap made from a cluster"),
    "logs": ("logs", "gather logs, events and objects of a deployment"),
    "pcapdump": ("pcapdump", "write what all workers of a deployment captured into one pcap file"),
    "proxy": ("proxy", "open the page of a deployment"),
    "store": ("store", "look after a store: info, verify, prune, snapshot, …"),
    "keys": ("keys", "make and list identities"),
    "plugin": ("plugin", "install, list and remove plugins"),
    "scripts": ("scripts", "list Kubeshark scripts and how they fare"),
    "console": ("console", "show what Kubeshark scripts say, live"),
    "version": ("version", "print versions"),
}
"""Command → module in this package and one line of help. Only the module of the command given is loaded."""

UNCONFIGURED = ("version", "config", "init")
"""Commands that work whatever the configuration says."""


class Parser(argparse.ArgumentParser):
    """argparse with errors in one line that say what to type."""

    def error(self, message: str) -> None:  # type: ignore[override]
        print(f'kubeshark: {message}: see "{self.prog} --help"', file=sys.stderr)
        raise SystemExit(2)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # its overloads
        """Refuse here what is not known, so that the command it was given to is the one that is pointed at."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


def build_parser(only: str | None = None, *, alone: bool = False) -> argparse.ArgumentParser:
    """Return the parser; with `only`, just that command's part of it, and of no other more than its summary.

    With `alone` not even that: two dozen parsers take argparse 10 ms, and only the help shows them.
    """
    parser = Parser(
        prog="kubeshark",
        description="Records network traffic as encrypted PCAP and dissects it on demand.",
        epilog='Example: kubeshark import capture.pcap && kubeshark query "http && status_code >= 400"',
    )
    parser.add_argument("-d", "--debug", action="store_true", help="show the traceback of an error")
    add_switches(parser)
    parser.add_argument("--version", action="version", version=f"kubeshark {__version__}")
    parser.add_argument(
        "--set", action="append", metavar="KEY=VALUE", help="a key of the configuration; of any command"
    )
    parser.add_argument("--config-path", metavar="FILE", help="instead of kubeshark.yaml; of any command")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", parser_class=Parser)
    for name, (module, summary) in COMMANDS.items():
        if only in (None, name):
            import_module(f"kubeshark.cli.{module}").add_parser(commands, name, summary)
        elif not alone:
            commands.add_parser(name, help=summary)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    # numpy's linear algebra, which nothing here uses, would wait busily for work: 0.1 s of CPU a command.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    given = sys.argv[1:] if argv is None else argv
    is_debugged = any(word in ("-d", "--debug") for word in takewhile(_is_flag, given))
    try:
        args = _parse(given)
        if args is None:
            return 2
        code: int = args.run(args)
        sys.stdout.flush()
    except KubesharkError as error:
        if is_debugged:
            raise
        complain(error)
        return error.exit_code
    except ModuleNotFoundError as error:
        if is_debugged or not (error.name or "").startswith("kubeshark."):
            raise
        complain(f"this installation lacks {error.name}: an image holds what its role needs; use the whole kubeshark")
        return 1
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if is_debugged:
            raise
        where = f"{error.filename}: " if error.filename else ""
        complain(f"{where}{error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        print("kubeshark: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    return code


def command() -> NoReturn:
    """Run the command line as a process of its own, and leave.

    Python would take every module apart first, 20 ms that nobody needs: what was registered for the end has run, and
    threads have ended, when the one that was registered first is called.
    """
    _take_standard_streams()
    for stream in (sys.stdout, sys.stderr):  # text from the network may hold what no encoding can
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    ended: list[int] = []
    atexit.register(_leave, ended)
    ended.append(main())
    sys.exit(ended[0])


def _take_standard_streams() -> None:
    """Put nothing where a standard stream is closed: the next file that is opened would be in its place."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None and os.open(os.devnull, os.O_RDWR) == number:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - a number


def _leave(ended: list[int]) -> None:
    if ended:
        with suppress(OSError, ValueError):  # closed, or nobody reads it any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(ended[0])


def _parse(given: Sequence[str]) -> argparse.Namespace | None:
    """Return the arguments with the configuration in them; None, and the help is shown, where no command is named."""
    words, switches = take_switches(join_times(given))
    arguments, path, overrides = take_global_flags(words)
    named = next((argument for argument in arguments if not argument.startswith("-")), "")
    asks = not {"-h", "--help", "--version"}.isdisjoint(arguments)
    configuration.begin(path, overrides, is_off=asks or named in UNCONFIGURED)
    parser = build_parser(named, alone=named in COMMANDS and not asks)
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help()
        return None
    configuration.settle(args)
    settle_switches(args, switches)
    return args


def _is_flag(word: str) -> bool:
    return word.startswith("-")
