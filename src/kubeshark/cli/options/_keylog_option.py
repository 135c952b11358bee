"""The option that names TLS key logs."""

from __future__ import annotations

import argparse

from kubeshark.cli.options._configured import add_configured

__all__ = ["add_keylog_option"]


def add_keylog_option(parser: argparse.ArgumentParser) -> None:
    add_configured(
        parser,
        "--keylog",
        key="capture.keylogs",
        action="append",
        default=[],
        metavar="FILE",
        help="TLS secrets to decrypt with, in NSS format (repeat); also those in $KUBESHARK_KEYLOG",
    )
