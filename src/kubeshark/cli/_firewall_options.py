"""What the firewall's commands share: policies, who has which address, and which recorded traffic."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kubeshark.cli._store_option import add_store_option, add_time_options, store_path
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.firewall import Coverage, Inventory, Policy
    from kubeshark.pipeline import Pipeline
    from kubeshark.pipeline._connections import Found

__all__ = [
    "add_inventory_options",
    "add_traffic_options",
    "coverage_of",
    "find_traffic",
    "inventory_for",
    "load_against",
    "open_store",
    "with_recorded_names",
]


def add_inventory_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--inventory",
        metavar="FILE",
        help="who has which address: YAML, or what kubectl get pods,namespaces,nodes -A -o json prints",
    )
    parser.add_argument(
        "--address",
        action="append",
        default=[],
        metavar="IP|CIDR",
        help="an address of the recorded host (subject host)",
    )


def add_traffic_options(parser: argparse.ArgumentParser) -> None:
    add_store_option(parser)
    add_time_options(parser)


def inventory_for(args: argparse.Namespace) -> Inventory:
    """Return the inventory that the options name."""
    from ipaddress import ip_network

    from kubeshark.firewall import Inventory, load_inventory

    inventory = load_inventory(args.inventory) if args.inventory else Inventory()
    try:
        addresses = tuple(ip_network(address) for address in args.address)
    except ValueError as error:
        raise UsageError(f"--address: {error}") from None
    interfaces = {name: (*known, *addresses) for name, known in inventory.interfaces.items()}
    return replace(inventory, host=(*inventory.host, *addresses), interfaces=interfaces) if addresses else inventory


def open_store(args: argparse.Namespace) -> Pipeline:
    from kubeshark.pipeline import Pipeline

    return Pipeline.open(store_path(args), create=False)


def find_traffic(pipeline: Pipeline, args: argparse.Namespace, kfl: str = "") -> Found:
    """Return the connections that a filter and the times select."""
    from kubeshark.pipeline import parse_time

    now_ns = time.time_ns()
    since_ns = parse_time(args.since, now_ns) if args.since else None
    until_ns = parse_time(args.until, now_ns) if args.until else None
    return pipeline.connections(kfl, since_ns=since_ns, until_ns=until_ns)


def coverage_of(pipeline: Pipeline, found: Found) -> Coverage:
    """Return which nodes were recorded, and what the sources say they lost."""
    from kubeshark.firewall import Coverage

    return Coverage(found.nodes, pipeline.store.overview().lost_packets)


def with_recorded_names(inventory: Inventory, policies: Sequence[Policy], pipeline: Pipeline) -> Inventory:
    """Add the addresses that recorded DNS answers give to the names that policies accept."""
    if not any(peer.domain_names for policy in policies for rule in policy.rules for peer in rule.peers):
        return inventory
    from kubeshark.pipeline._connections import recorded_names

    return inventory.with_names(recorded_names(pipeline))


def load_against(named: str) -> list[Policy]:
    """Return the policies that "current" or a path names."""
    from kubeshark.firewall import PolicyFolder, load_policies, policy_folder

    if named == "current":
        return [kept.policy for kept in PolicyFolder(policy_folder()).all()]
    return load_policies([named])
