"""The option that names TLS key logs."""

from __future__ import annotations

import argparse

__all__ = ["add_keylog_option"]


def add_keylog_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keylog",
        action="append",
        default=[],
        metavar="FILE",
        help="TLS secrets to decrypt with, in NSS format (repeat); also those in $KUBESHARK_KEYLOG",
    )
