"""The options that say which certificate this machine shows to others of the cluster."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubeshark.core_capture.store import TlsFiles

__all__ = ["add_tls_options", "tls_files"]


def add_tls_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tls",
        metavar="DIR",
        help="folder with tls.crt, tls.key, ca.crt; default: $KUBESHARK_TLS, else ~/.kubeshark/tls",
    )
    parser.add_argument("--cert", metavar="FILE", help="instead of tls.crt")
    parser.add_argument("--key", metavar="FILE", help="instead of tls.key")
    parser.add_argument("--ca", metavar="FILE", help="instead of ca.crt")


def tls_files(args: argparse.Namespace) -> TlsFiles:
    """Return the TlsFiles that the options name."""
    from kubeshark.core_capture.store import TlsFiles

    lying = TlsFiles.in_folder(Path(args.tls).expanduser() if args.tls else None)
    return TlsFiles(Path(args.cert or lying.certificate), Path(args.key or lying.key), Path(args.ca or lying.authority))
