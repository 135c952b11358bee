"""What the firewall's commands share: policies, who has which address, and which recorded traffic."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kubeshark.cli.options._configured import add_configured, configuration
from kubeshark.cli.options._kfl import macros
from kubeshark.cli.options._store_option import add_store_option, add_time_options, store_path
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.firewall import Coverage, Inventory, Policy, RecordedNames
    from kubeshark.firewall.rules._rules import Network
    from kubeshark.pipeline import Pipeline
    from kubeshark.pipeline.query._connections import Found

__all__ = [
    "add_hub_option",
    "add_inventory_options",
    "add_traffic_options",
    "coverage_of",
    "default_mode",
    "exempt_networks",
    "find_traffic",
    "inventory_for",
    "is_configured",
    "names_in",
    "open_store",
    "read_texts",
    "seconds_of",
    "with_addresses",
]

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def add_inventory_options(parser: argparse.ArgumentParser) -> None:
    add_configured(
        parser,
        "--inventory",
        key="firewall.inventory",
        read=lambda file: file or None,
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


def add_hub_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--hub", metavar="URL", help="of all nodes, through a hub: http://HOST:PORT; the token is in $KUBESHARK_TOKEN"
    )


def read_texts(files: Sequence[str]) -> list[str]:
    """Return the policies of these files and folders, each as it was written; raise UsageError for none.

    What cannot be read raises DocumentError with its place in its file.
    """
    from kubeshark._document import split_documents
    from kubeshark.firewall import load_policies

    if not files:
        raise UsageError("no policy is given", hint="name a file, or a folder of policies")
    named = dict.fromkeys(policy.file for policy in load_policies(files))
    return [text for file in named for text in split_documents(Path(file).read_text(encoding="utf-8"))]


def seconds_of(text: str, option: str) -> int:
    """Return the seconds of 90s, 15m, 2h, 1d; raise UsageError."""
    match = re.fullmatch(r"(\d{1,7})([smhd]?)", text)
    if match is None:
        raise UsageError(f"{option} {text!r} is no duration", hint="write 90s, 15m, 2h or 0")
    return int(match[1]) * UNITS[match[2]]


def inventory_for(args: argparse.Namespace) -> Inventory:
    """Return the inventory that the options name."""
    from kubeshark.firewall import Inventory, load_inventory

    known = load_inventory(args.inventory) if args.inventory else Inventory()
    return with_addresses(replace(known, exempt=exempt_networks()), args.address)


def is_configured(inventory: str | Path) -> bool:
    """Say whether an inventory is that of kubeshark.yaml: where another one holds nobody has asked for it."""
    known = configuration.value("firewall.inventory")
    return bool(known) and Path(inventory).expanduser() == Path(known).expanduser()


def default_mode() -> Literal["Enforce", "Audit"]:
    """Return the mode of policies that say none."""
    return configuration.value("firewall.defaultMode") or "Audit"


def exempt_networks() -> tuple[Network, ...]:
    """Return the addresses that no policy judges; raise UsageError."""
    from ipaddress import ip_network

    try:
        return tuple(ip_network(text) for text in configuration.value("firewall.exempt") or ())
    except ValueError as error:
        raise UsageError(f"firewall.exempt: {error}", hint="write addresses or networks, like 10.0.0.0/8") from None


def with_addresses(inventory: Inventory, texts: Sequence[str]) -> Inventory:
    """Return an inventory whose host and interfaces have these addresses, too."""
    from ipaddress import ip_network

    try:
        addresses = tuple(ip_network(address) for address in texts)
    except ValueError as error:
        raise UsageError(f"--address: {error}") from None
    interfaces = {name: (*known, *addresses) for name, known in inventory.interfaces.items()}
    return replace(inventory, host=(*inventory.host, *addresses), interfaces=interfaces) if addresses else inventory


def open_store(args: argparse.Namespace) -> Pipeline:
    from kubeshark.pipeline import Pipeline

    return Pipeline.open(store_path(args), create=False, macros=macros())


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


def names_in(policies: Sequence[Policy], pipeline: Pipeline) -> RecordedNames | None:
    """Return which addresses recorded DNS answers gave to names, if policies name any."""
    if not any(peer.domain_names for policy in policies for rule in policy.rules for peer in rule.peers):
        return None
    from kubeshark.firewall import RecordedNames
    from kubeshark.pipeline.query._connections import recorded_answers

    return RecordedNames(recorded_answers(pipeline))
