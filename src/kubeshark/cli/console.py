"""kubeshark console: what scripts of running processes, or of a hub, say, live."""

from __future__ import annotations

import argparse
import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from kubeshark.cli.options._cluster_options import ClusterParser, settings_of
from kubeshark.cli.options._scripts_option import print_console
from kubeshark.cli.remote._deployment import add_hub_options, asked_hub, is_remote
from kubeshark.cli.terminal._complain import complain

if TYPE_CHECKING:
    from pathlib import Path

    from kubeshark.pipeline.scripts import ConsoleLine

__all__ = ["add_parser", "show"]

EXAMPLES = """examples:
  kubeshark console                       what every script says, until Ctrl-C
  kubeshark console --script "DNS top"    one script, by its title or id
  kubeshark console --no-follow           what is there now
  kubeshark console -s kubeshark          scripts of the deployment in that namespace
  KUBESHARK_TOKEN=… kubeshark console --hub http://127.0.0.1:8899
"""
LOOK_S = 0.5


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description="Show what Kubeshark scripts say that run in another process of yours, such as kubeshark serve, or "
        "in the hub of a deployment.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--script", default="", metavar="ID", help="only this one, by id or title")
    parser.add_argument("--no-follow", action="store_true", help="end after what is there now")
    parser.add_argument("--output", choices=("text", "jsonl"), default="text")
    options = ClusterParser(parser)
    add_hub_options(options)
    options.done(run)


def run(args: argparse.Namespace) -> int:
    if is_remote(args):
        return show_remote(args)
    return show(args.script, follow=not args.no_follow, as_json=args.output == "jsonl")


def show(script: str, *, follow: bool, as_json: bool = False) -> int:
    """Print lines of all running processes until they end."""
    import msgspec

    from kubeshark.pipeline.scripts import running

    places = running()
    if not places:
        complain('no process runs scripts: start "kubeshark serve", or use --scripts with import and dissect')
        return 1
    heard: queue.SimpleQueue[ConsoleLine | None] = queue.SimpleQueue()
    for place in places:
        threading.Thread(target=_listen, args=(place, script, follow, heard), daemon=True).start()
    left = len(places)
    while left:
        line = heard.get()
        if line is None:
            left -= 1
        elif as_json:
            print(msgspec.json.encode(line).decode(), flush=True)
        else:
            print_console(line, sys.stdout)
    return 0


def show_remote(args: argparse.Namespace) -> int:
    """Print lines of a hub until Ctrl-C."""
    import json
    from urllib.parse import urlencode

    import msgspec

    from kubeshark.pipeline.scripts import ConsoleLine

    with asked_hub(args.hub, settings_of(args)) as hub:
        after = 0
        while True:
            asked = urlencode({"script": args.script, "after": after})
            said = hub.ask("GET", f"/api/v1/scripts/console?{asked}")
            for each in said["lines"]:
                if args.output == "jsonl":
                    print(json.dumps(each), flush=True)
                else:
                    print_console(msgspec.convert(each, ConsoleLine), sys.stdout)
            if args.no_follow:
                return 0
            after = int(said["next"])
            time.sleep(LOOK_S)


def _listen(place: Path, script: str, follow: bool, heard: queue.SimpleQueue[ConsoleLine | None]) -> None:
    from kubeshark.pipeline.scripts import console_lines

    try:
        for line in console_lines(place, script, follow=follow):
            heard.put(line)
    except OSError:
        pass  # that process ended
    finally:
        heard.put(None)
