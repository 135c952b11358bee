"""kubeshark import FILE...: capture files into an encrypted store."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import Any

from kubeshark.cli.options._scripts_option import add_scripts_option, running_scripts
from kubeshark.cli.options._store_option import add_recipient_option, add_store_option, store_path
from kubeshark.cli.terminal._complain import complain, remark
from kubeshark.cli.terminal._progress import Progress

__all__ = ["add_parser"]

TOTALS = ("packets", "bytes", "flows", "segments", "skipped", "dropped")
SHA_SHOWN = 8  # digits: enough for store prune
EXAMPLES = """examples:
  kubeshark import capture.pcap
  kubeshark import *.pcapng.gz --store ./store
  kubeshark import -R captures                     the captures in a folder, and in those below it
  tcpdump -U -w - | kubeshark import -
  tcpdump -i eth0 -G 60 -w 'captures/%H%M%S.pcap' & kubeshark import --follow captures
  tcpdump -i eth0 -U -C 100 -W 5 -w ring.pcap & kubeshark import --follow ring.pcap

Repeating an import resumes it, or says that it is already there: by the contents of the file. What comes by standard
input is stored anew each time, and a file that changed since is another capture.
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description="Read capture files (pcap, pcapng, .gz, .zst, - for standard input) into an encrypted store.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument(
        "-R",
        "--recursive",
        action="store_true",
        help="FILE may be a folder: import what in it, and below, is named *.pcap, *.pcapng or *.cap (.gz, .zst), or"
        " begins as such a file",
    )
    parser.add_argument(
        "--follow",
        action="store_true",
        help="FILE is a folder, or a file that grows: import what is there and what comes, as it is written, also into"
        " the files that it is rotated to; each packet once, until Ctrl-C",
    )
    add_store_option(parser)
    add_recipient_option(parser)
    parser.add_argument(
        "--keylog",
        action="append",
        default=[],
        metavar="FILE",
        help="store these TLS secrets with the capture, encrypted (repeat): queries then decrypt with them",
    )
    add_scripts_option(parser)
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from kubeshark.errors import InputError
    from kubeshark.pipeline import keep_freed_memory

    if args.follow:
        return follow(args)
    keep_freed_memory()  # before all else is loaded, which the collector would look through twenty times
    from kubeshark.cli._capture_files import CaptureFiles
    from kubeshark.pipeline import Pipeline

    found = CaptureFiles.named(args.files, recursive=args.recursive)
    totals: dict[str, int] = dict.fromkeys(TOTALS, 0)
    problems = found.problems
    readable = 0
    path = store_path(args)
    is_new = isinstance(path, Path) and not path.exists()
    store = Pipeline.open(path, recipients=args.recipient)
    with store as pipeline, running_scripts(args) as scripts:
        for file in found.files:
            with Progress(f"importing {file}") as progress:
                try:
                    if scripts is None:
                        result = pipeline.import_file(file, keylogs=args.keylog, on_progress=progress.show)
                    else:
                        from kubeshark.pipeline.scripts import import_with_scripts

                        result, _ = import_with_scripts(
                            pipeline, file, scripts, keylogs=args.keylog, on_progress=progress.show
                        )
                except (InputError, OSError) as error:
                    text = str(error) if isinstance(error, InputError) else f"{file}: {error.strerror or error}"
                    problems.append(text)
                    continue
            readable += 1
            problems += [f"{file}: {problem}" for problem in result.problems]
            if result.already_there:
                remark(f"{file} is already in the store: {result.skipped:,} packets")
            if result.replaced:
                remark(f"{file}: {result.replaced:,} packets recovered from an import that died are replaced by it")
            for other in result.namesakes:
                remark(
                    f"{file}: another capture of this name is in the store ({other[:SHA_SHOWN]}), packets of both are"
                    f' there twice: "kubeshark store prune --source {other[:SHA_SHOWN]}" removes it'
                )
            for key in totals:
                totals[key] += getattr(result, key)
    if is_new and not readable:
        _remove_empty(path)
    for problem in problems:
        complain(problem)
    if args.recursive:
        totals["other_files"] = found.others
    if readable or not problems or args.output == "json":  # what failed altogether has no totals to tell
        print_totals(totals, args.output)
    if not problems:
        return 0
    return 3 if readable else 1


def _remove_empty(path: Path | str) -> None:
    """Leave no folder behind that looks like a store and holds nothing; one with something in it stays."""
    with suppress(OSError):
        Path(path).rmdir()


def follow(args: argparse.Namespace) -> int:
    """Import what comes into a folder, or a file, until a signal."""
    from kubeshark.cli.capture import ending
    from kubeshark.errors import InputError, UsageError
    from kubeshark.pipeline import Pipeline

    if len(args.files) != 1 or args.keylog or args.scripts or args.recursive:
        raise UsageError("--follow takes one folder or file, without key logs, scripts and -R")
    (place,) = args.files
    with (
        Pipeline.open(store_path(args), recipients=args.recipient) as pipeline,
        Progress(f"following {place}") as progress,
    ):
        try:
            job = pipeline.follow_folder(place, on_progress=progress.show, on_notice=complain)
        except InputError as error:
            complain(str(error))
            return 1
        with ending(job):
            remark(f"following {place}: Ctrl-C ends it")
            result = job.run()
    totals = {key: getattr(result, key) for key in TOTALS}
    print_totals(totals, args.output)
    return 3 if result.problems else 0


def print_totals(totals: dict[str, int], form: str) -> None:
    if form == "json":
        import json

        print(json.dumps(totals))
        return
    print(
        f"imported {totals['packets']:,} packets, {totals['bytes']:,} bytes, {totals['flows']:,} flows"
        f" in {totals['segments']} segments; {totals['skipped']} skipped"
        + (f"; {totals['dropped']:,} dropped by plugins" if totals["dropped"] else "")
        + (f"; {totals['other_files']:,} other files skipped" if totals.get("other_files") else "")
    )
