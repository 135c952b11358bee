"""Scripts of a hub: shown, and files of folders put there, again whenever they change."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.cli.options._cluster_options import settings_of
from kubeshark.cli.remote._deployment import asked_hub
from kubeshark.cli.terminal._complain import complain, printable
from kubeshark.cli.terminal._script_rows import show_row
from kubeshark.errors import KubesharkError, UsageError

if TYPE_CHECKING:
    from kubeshark.cli.remote._hub_client import HubClient
    from kubeshark.settings import Settings

__all__ = ["Pusher", "remote_scripts"]

LOOK_S = 1.0
SHOW_S = 2.0
ROOT = "/api/v1/scripts"


def remote_scripts(args: argparse.Namespace) -> int:
    """Do what the options say; return the exit code."""
    loaded = settings_of(args)
    folders = _folders(args, loaded.settings)
    with asked_hub(args.hub, loaded) as hub:
        for name in args.remove:
            hub.ask("DELETE", f"{ROOT}/{name}")
            print(printable(f"removed {name}"))
        if args.push or args.once:
            if not folders:
                raise UsageError("there is no folder to push", hint="--push DIR, or scripting.source in kubeshark.yaml")
            return _push(Pusher(hub, folders), once=args.once)
        while not args.remove or args.watch:
            code = _show(hub.ask("GET", ROOT), args.output)
            if not args.watch:
                return code
            time.sleep(SHOW_S)
            print()
    return 0


class Pusher:
    """Knows which files a hub has as they are."""

    def __init__(self, hub: HubClient, folders: list[Path]) -> None:
        self._hub, self._folders = hub, folders
        self._told: dict[Path, str] = {}

    def look(self) -> list[str]:
        """Push what is new; return what is wrong with files that the hub does not take. Raise HubError."""
        from kubeshark.pipeline.scripts import read_script

        problems = []
        for path in sorted(path for folder in self._folders for path in folder.glob("[!.]*.js")):
            text = ""
            try:
                text = read_script(path).text
                if self._told.get(path) == text:
                    continue
                self._hub.ask("PUT", f"{ROOT}/{path.name}", {"text": text})
                print(printable(f"pushed {path}"), flush=True)
            except UsageError as error:  # as it is, it is not taken: not asked again
                problems.append(f"{path}: {error}")
            self._told[path] = text
        return problems


def _push(pusher: Pusher, *, once: bool) -> int:
    said: list[str] = []
    while True:
        try:
            problems = pusher.look()
        except KubesharkError as error:
            if once:
                raise
            problems = [str(error)]  # it comes back: what is told stays told
        for problem in problems:
            if problem not in said:
                complain(problem)
        if once:
            return 1 if problems else 0
        said = problems or said
        time.sleep(LOOK_S)


def _folders(args: argparse.Namespace, settings: Settings) -> list[Path]:
    scripting = settings.scripting
    named = args.push or [each for each in (scripting.source, *scripting.sources) if each]
    found = [Path(each).expanduser() for each in named]
    if missing := next((each for each in found if args.push and not each.is_dir()), None):
        raise UsageError(f"{missing} is no folder")
    return found


def _show(said: dict[str, Any], output: str) -> int:
    problems: list[str] = said["problems"]
    if output == "json":
        print(json.dumps(said, indent=1))
        return 1 if problems else 0
    if not said["scripts"]:
        print('no scripts: "kubeshark scripts --push DIR" puts some there')
    shown = set()
    for row in said["scripts"]:
        if row["id"] not in shown:
            shown.add(row["id"])
            print(printable(f"{row['id']:<24} {row['title']}"))
        show_row(row, "hub")
    for problem in problems:
        complain(problem)
    return 1 if problems else 0
