"""kubeshark keys new|list: identities, which open stores, and their recipients, which fill them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(name, help=summary, description="Make and list identities (age X25519 keys).")
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    new = actions.add_parser("new", help="make an identity", description="Make an identity file (mode 0600).")
    new.add_argument("-o", "--out", metavar="FILE", help="default: $KUBESHARK_IDENTITY, else ~/.kubeshark/identity.age")
    new.set_defaults(run=run_new)
    listing = actions.add_parser("list", help="list recipients", description="Print the recipients of the identities.")
    listing.add_argument("--identity", metavar="FILE", help="default: as above")
    listing.set_defaults(run=run_list)


def run_new(args: argparse.Namespace) -> int:
    from kubeshark.core_capture.store import create_identity, identity_path

    path = Path(args.out) if args.out else identity_path()
    identity = create_identity(path)
    print(f"{path}: {identity.recipient}")
    return 0


def run_list(args: argparse.Namespace) -> int:
    from kubeshark.core_capture.store import identity_path, load_identities

    path = Path(args.identity) if args.identity else identity_path()
    for identity in load_identities(path):
        print(f"{identity.recipient}  {path}")
    return 0
