"""kubeshark mcp: a store over the Model Context Protocol, on standard input and output."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.cli.options._configured import configuration
from kubeshark.cli.options._keylog_option import add_keylog_option
from kubeshark.cli.options._kfl import global_filter, macros
from kubeshark.cli.options._redaction import redaction_rules
from kubeshark.cli.options._store_option import add_store_option, store_path
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.pipeline import Pipeline

__all__ = ["add_parser"]

VARIABLES = ("KUBESHARK_IDENTITY", "KUBESHARK_PLUGINS", "KUBESHARK_KEYLOG")
DESCRIPTION = """Serve a store over standard input and output by the Model Context Protocol: captures, query, count,
entry, flows, service map, HAR. It only reads, and hides credentials unless you say otherwise.

examples:
  kubeshark mcp --store captures --mcp-config    what a client's configuration needs, to be pasted there
  kubeshark mcp --list-tools
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name, help=summary, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_store_option(parser)
    add_keylog_option(parser)
    parser.add_argument("--no-redact", action="store_true", help="show credentials, cookies and secrets as they are")
    parser.add_argument("--list-tools", action="store_true", help="print the tools, and end")
    parser.add_argument("--mcp-config", action="store_true", help="print what a client's configuration needs, and end")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="of --list-tools")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.mcp_config:
        print(json.dumps({"mcpServers": {"kubeshark": client_entry(args)}}, indent=2))
        return 0
    if find_spec("mcp") is None:
        raise UsageError("the Model Context Protocol is not installed", hint='pip install "kubeshark[mcp]"')
    if args.list_tools:
        return list_tools(args)
    from kubeshark.hub.access._tokens import hub_folder
    from kubeshark.hub.mcp._tools import make_server
    from kubeshark.hub.state._settings_file import SettingsFile
    from kubeshark.pipeline import Pipeline

    with Pipeline.open(store_path(args), create=False, keylogs=args.keylog, macros=macros()) as pipeline:
        rules = () if args.no_redact else SettingsFile(hub_folder()).read().rules(redaction_rules())
        everybodys = global_filter(pipeline)
        view = pipeline.restricted(rules=rules, only=everybodys)
        make_server(lambda: view, sees_all=not everybodys).run("stdio")
    return 0


def list_tools(args: argparse.Namespace) -> int:
    """Print what is offered; no store is opened for it."""
    import asyncio

    from kubeshark.hub.mcp._tools import make_server

    def no_view() -> Pipeline:
        raise AssertionError("no tool is called")

    tools = asyncio.run(make_server(no_view).list_tools())
    if args.output == "json":
        print(json.dumps([tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]))
        return 0
    for tool in tools:
        parameters = ", ".join(tool.input_schema.get("properties", {}))
        print(
            f"{tool.name:<12}  {(tool.description or '').splitlines()[0]}" + (f" ({parameters})" if parameters else "")
        )
    return 0


def client_entry(args: argparse.Namespace) -> dict[str, Any]:
    """Return how a client starts this: it has another folder, and another environment."""
    store = store_path(args)
    words = ["mcp", "--store", store if isinstance(store, str) else str(store.absolute())]
    for keylog in args.keylog:
        words += ["--keylog", str(Path(keylog).absolute())]
    if args.no_redact:
        words.append("--no-redact")
    if configuration.path:
        words += ["--config-path", str(Path(configuration.path).absolute())]
    command = shutil.which("kubeshark")
    entry = {"command": command or sys.executable, "args": words if command else ["-m", "kubeshark", *words]}
    given = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    return {**entry, "env": given} if given else entry
