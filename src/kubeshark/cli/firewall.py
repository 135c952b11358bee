"""kubeshark firewall ACTION: the group. Its actions are in modules of their own."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

__all__ = ["add_parser"]

ACTIONS = ("firewall_simulate", "firewall_learn", "firewall_policies", "firewall_enforce")
"""Modules of this package with `add_actions(actions)`, in the order of the help."""

EXAMPLES = """examples:
  kubeshark firewall learn --subject host --address 10.0.0.5 > host.yaml
  kubeshark firewall simulate host.yaml --address 10.0.0.5
  kubeshark firewall simulate shop.yaml 'dst.port == 5432' --inventory pods.json --fail-on reject,deny
  kubeshark firewall diff old.yaml new.yaml --inventory pods.json --output json
  kubeshark firewall apply shop.yaml --inventory pods.json --dry-run
  kubeshark firewall apply shop.yaml --enforce --interface eth0 --confirm-within 60s
  kubeshark firewall events --follow
  kubeshark firewall schema > firewallpolicy.schema.json
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description="Policies that are tried on recorded traffic first, and then enforced in the kernel.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    for module in ACTIONS:
        import_module(f"kubeshark.cli.{module}").add_actions(actions)
