"""--scripts: run the installed and configured Kubeshark scripts beside a command, and show what they say."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kubeshark.cli.options._configured import configuration
from kubeshark.cli.terminal._complain import complain, manner, printable, remark

if TYPE_CHECKING:
    from kubeshark.pipeline.scripts import ConsoleLine, Scripts
    from kubeshark.pipeline.scripts._config import ScriptsConfig

__all__ = ["add_scripts_option", "console_text", "print_console", "report_scripts", "running_scripts", "scripts_config"]

SCRIPTING = {
    "enabled": "enabled",
    "env": "env",
    "source": "source",
    "sources": "sources",
    "watchScripts": "watch_scripts",
    "active": "active",
    "filter": "filter",
    "group": "group",
    "rawMetricNames": "raw_metric_names",
}
"""Keys of kubeshark.yaml → fields of ScriptsConfig."""

RED, DIM, PLAIN = "\x1b[31m", "\x1b[2m", "\x1b[0m"


def add_scripts_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scripts", action="store_true", help="call the hooks of Kubeshark scripts; what they say goes to stderr"
    )


@contextmanager
def running_scripts(args: argparse.Namespace, variables: Mapping[str, Any] | None = None) -> Iterator[Scripts | None]:
    """Give the running scripts, None without --scripts; at the end say how they fared."""
    if not args.scripts:
        yield None
        return
    from kubeshark.pipeline.scripts import Scripts

    options = {} if variables is None else {"variables": variables}
    with Scripts.configured(scripts_config(), **options) as scripts:
        if not scripts.scripts:
            remark('no script is installed: "kubeshark plugin install FILE.js"')
        scripts.console.listen(lambda line: print_console(line, sys.stderr))
        scripts.start()
        yield scripts
        scripts.settle()
        report_scripts(scripts)


def scripts_config() -> ScriptsConfig | None:
    """Return scripts.toml with what kubeshark.yaml says of scripts over it; None where that says nothing."""
    given = {attribute: configuration.value(f"scripting.{key}") for key, attribute in SCRIPTING.items()}
    given = {attribute: value for attribute, value in given.items() if value is not None}
    if not given:
        return None
    from msgspec.structs import replace

    from kubeshark.pipeline.scripts._config import read_config

    for attribute in ("sources", "active"):
        if attribute in given:
            given[attribute] = list(given[attribute])
    if "active" in given:
        given["active"] = given["active"] or None
    return replace(read_config(), **given)


def report_scripts(scripts: Scripts) -> None:
    """Say what went wrong with scripts."""
    for problem in scripts.problems:
        complain(problem)
    for state in scripts.states():
        who = f"script {state.script.id} ({state.role})"
        if state.problem:
            complain(f"{who} {state.problem}")
        if state.note:
            complain(f"{who}: {state.note}")
        if state.errors:
            complain(f"{who}: {state.errors:,} calls threw")


def print_console(line: ConsoleLine, out: Any) -> None:
    text = console_text(line, colours=manner.has_colours and out.isatty())
    if text:
        print(text, file=out, flush=True)


def console_text(line: ConsoleLine, *, colours: bool) -> str:
    """Return a line as people read it; ANSI colours that a script wrote pass to terminals only."""
    if line.level == "clear":
        return ""
    import re
    from datetime import UTC, datetime

    stamp = datetime.fromtimestamp(line.time_ms / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
    marked = re.split(r"(\x1b\[[0-9;]{0,20}m)", line.text)
    parts = [part if at % 2 == 0 else part if colours else "" for at, part in enumerate(marked)]
    shown = [
        "\n".join(printable(piece) for piece in part.split("\n")) if at % 2 == 0 else part
        for at, part in enumerate(parts)
    ]
    head = f"{stamp} {printable(line.title)} {line.role}"
    text = "".join(shown)
    if not colours:
        return f"{head}: {'error: ' if line.level == 'error' else ''}{text}"
    return f"{DIM}{head}:{PLAIN} {RED if line.level == 'error' else ''}{text}{PLAIN}"
