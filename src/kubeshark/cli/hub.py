"""kubeshark hub: the hub of a cluster, and tokens for people and programs that use a hub."""

from __future__ import annotations

import argparse
import json
import re
from datetime import UTC, datetime
from typing import Any

from kubeshark.cli.serve import add_serving_options, run
from kubeshark.cli.terminal._complain import complain, printable
from kubeshark.errors import UsageError

__all__ = ["add_parser"]

ROLES = ("viewer", "operator", "admin")
RIGHTS = ("raw", "import", "clear", "firewall", "manage")
UNITS_S = {"m": 60, "h": 3600, "d": 86_400}

NEW = """Make a token and print it: once, it is kept nowhere. It goes into the URL (?token=…) of a browser, or into the
header "Authorization: Bearer TOKEN" of a program. A hub that runs knows it at once.

viewer    reads entries, without what redaction rules hide
operator  also sees packets, imports captures, and sees everything in the clear
admin     also deletes, and changes plugins and settings

examples:
  kubeshark hub token new ci --role viewer
  kubeshark hub token new shop-team --role operator --namespace shop,shop-test --expires 30d
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(name, help=summary, description=__doc__)
    # behind an ingress or a forwarded port, which speak TLS; who may connect is said by a NetworkPolicy
    add_serving_options(parser)
    parser.set_defaults(run=run, host="0.0.0.0", port=8898, insecure=True, no_browser=True)  # noqa: S104
    parser.set_defaults(worker_name="kubeshark-worker", is_deployed=True)
    subjects = parser.add_subparsers(metavar="[token]")
    token = subjects.add_parser("token", help="make, list and revoke tokens")
    actions = token.add_subparsers(metavar="ACTION", required=True)
    new = actions.add_parser(
        "new", help="make a token", description=NEW, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    new.add_argument("name", metavar="NAME", help="whose it is: shown in the audit log")
    new.add_argument("--role", choices=ROLES, default="viewer", help="default: viewer")
    new.add_argument("--namespace", action="append", metavar="A,B", help="see these namespaces only")
    new.add_argument("--without", action="append", choices=RIGHTS, default=[], help="take a right from the role")
    new.add_argument("--expires", metavar="TIME", default="", help="30m, 12h or 90d from now; default: never")
    new.set_defaults(run=run_new)
    listed = actions.add_parser("list", help="list tokens, without what they are")
    listed.add_argument("--output", choices=("text", "json"), default="text")
    listed.set_defaults(run=run_list)
    revoke = actions.add_parser("revoke", help="withdraw a token: it, and the sessions of its browsers, end at once")
    revoke.add_argument("token", metavar="ID")
    revoke.set_defaults(run=run_revoke)


def run_new(args: argparse.Namespace) -> int:
    from kubeshark.hub import Tokens

    namespaces = None
    if args.namespace is not None:
        namespaces = [each for given in args.namespace for each in given.split(",") if each]
        if not namespaces:
            raise UsageError("--namespace names none", hint="leave it out for all namespaces")
    token, text = Tokens().new(
        args.name, args.role, namespaces=namespaces, without=args.without, lasts_s=_seconds(args.expires)
    )
    print(text)
    complain(f"{token.id} is the token of {token.name}, {token.role}: keep what was printed, it is shown once")
    return 0


def run_list(args: argparse.Namespace) -> int:
    from kubeshark.hub import Tokens

    tokens = Tokens().all()
    if args.output == "json":
        print(json.dumps([_document(token) for token in tokens], indent=1))
        return 0
    for token in tokens:
        scope = "all namespaces" if token.namespaces is None else ",".join(token.namespaces)
        until = f"until {_time(token.expires)}" if token.expires else "for good"
        less = f", without {','.join(token.without)}" if token.without else ""
        print(printable(f"{token.id}  {token.name}  {token.role}{less}, {scope}, {until}"))
    return 0


def run_revoke(args: argparse.Namespace) -> int:
    from kubeshark.hub import Tokens

    token = Tokens().revoke(args.token)
    print(printable(f"revoked {token.id} of {token.name}"))
    return 0


def _document(token: Any) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "namespaces": token.namespaces,
        "without": token.without,
        "created": _time(token.created),
        "expires": _time(token.expires) if token.expires else None,
    }


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(text: str) -> int:
    if not text:
        return 0
    found = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if found is None or int(found[1]) == 0:
        raise UsageError(f"--expires {text!r} is no time", hint="write 30m, 12h or 90d")
    return int(found[1]) * UNITS_S[found[2]]
