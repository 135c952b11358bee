"""kubeshark keys new|list|export-recipient: identities, which open stores, and their recipients, which fill them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]

EXAMPLES = """examples:
  kubeshark keys new                              the identity of this machine's user
  kubeshark keys new --passphrase -o colleague.age
  kubeshark keys export-recipient > lab.recipient what others need to write for you, and no secret
  kubeshark import a.pcap --recipient age1… --recipient age1…   each of them can read it

An identity file may hold several identities, one a line; any of them opens a store.
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description="Make and list identities (age X25519 keys).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    new = actions.add_parser("new", help="make an identity", description="Make an identity file (mode 0600).")
    new.add_argument("-o", "--out", metavar="FILE", help="default: $KUBESHARK_IDENTITY, else ~/.kubeshark/identity.age")
    new.add_argument(
        "--passphrase",
        action="store_true",
        help="encrypt the file (as age -p does): asked for on the terminal, or read from $KUBESHARK_PASSPHRASE_FILE",
    )
    new.set_defaults(run=run_new)
    listing = actions.add_parser("list", help="list recipients", description="Print the recipients of the identities.")
    listing.add_argument("--identity", metavar="FILE", help="default: as above")
    listing.set_defaults(run=run_list)
    public = actions.add_parser(
        "export-recipient",
        help="print an identity's recipient",
        description="Print the recipients (age1…) of the identities, one a line, for whoever captures for them.",
    )
    public.add_argument("--identity", metavar="FILE", help="default: as above")
    public.add_argument("-o", "--out", metavar="FILE", help="write them there; default: standard output")
    public.set_defaults(run=run_export_recipient)


def run_new(args: argparse.Namespace) -> int:
    from kubeshark.core_capture.store import ask_new_passphrase, create_identity, identity_path
    from kubeshark.errors import StoreError

    path = Path(args.out) if args.out else identity_path()
    if args.passphrase and path.exists():
        raise StoreError(f"{path} exists already", hint="a key is never replaced: name another file")
    identity = create_identity(path, ask_new_passphrase(path) if args.passphrase else "")
    print(f"{path}: {identity.recipient}")
    return 0


def run_list(args: argparse.Namespace) -> int:
    from kubeshark.core_capture.store import identity_path, load_identities

    path = Path(args.identity) if args.identity else identity_path()
    for identity in load_identities(path):
        print(f"{identity.recipient}  {path}")
    return 0


def run_export_recipient(args: argparse.Namespace) -> int:
    from kubeshark.core_capture.store import identity_path, load_identities

    path = Path(args.identity) if args.identity else identity_path()
    text = "".join(f"{identity.recipient}\n" for identity in load_identities(path))
    if args.out in (None, "-"):
        print(text, end="")
    else:
        Path(args.out).write_text(text, "utf-8")
    return 0
