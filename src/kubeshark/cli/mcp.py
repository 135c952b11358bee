"""kubeshark mcp: a store over the Model Context Protocol, on standard input and output."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from typing import Any

from kubeshark.cli.options._keylog_option import add_keylog_option
from kubeshark.cli.options._kfl import global_filter, macros
from kubeshark.cli.options._redaction import redaction_rules
from kubeshark.cli.options._store_option import add_store_option, store_path
from kubeshark.errors import UsageError

__all__ = ["add_parser"]

DESCRIPTION = """Serve a store over standard input and output by the Model Context Protocol: captures, query, count,
entry, flows, service map, HAR. It only reads, and hides credentials unless you say otherwise.

example, in a client's configuration:
  {"mcpServers": {"kubeshark": {"command": "kubeshark", "args": ["mcp", "--store", "/path/to/store"]}}}
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name, help=summary, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_store_option(parser)
    add_keylog_option(parser)
    parser.add_argument("--no-redact", action="store_true", help="show credentials, cookies and secrets as they are")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if find_spec("mcp") is None:
        raise UsageError("the Model Context Protocol is not installed", hint='pip install "kubeshark[mcp]"')
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
