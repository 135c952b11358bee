"""What `kubeshark firewall … --hub URL` does: the same commands, of the hub's REST (docs/hub-api.md)."""

from __future__ import annotations

import argparse
import json
from typing import Any
from urllib.parse import quote, urlencode

from kubeshark.cli.options._firewall_options import is_configured, read_texts, seconds_of
from kubeshark.cli.remote._hub_client import HubClient
from kubeshark.cli.terminal._complain import complain, printable
from kubeshark.cli.terminal._firewall_shown import show_node
from kubeshark.errors import UsageError

__all__ = ["apply", "delete", "events", "plain", "policies", "status"]

ROOT = "/api/v1/firewall"


def apply(args: argparse.Namespace) -> int:
    if args.replace or args.default_deny or args.interface or args.address:
        raise UsageError("--replace, --default-deny, --interface and --address are for this machine, not for a hub")
    text = "".join(f"---\n{each}" if not each.startswith("---") else each for each in _ended(args))
    body = {"policy": text}
    if args.inventory and not is_configured(args.inventory):
        if not args.dry_run:
            raise UsageError("a hub resolves selectors by its own inventory", hint="see kubeshark serve --inventory")
        with open(args.inventory, encoding="utf-8") as file:  # noqa: PTH123
            body["inventory"] = file.read()
    options: dict[str, Any] = {"rollout": args.rollout}
    if args.dry_run:
        options["dryRun"] = "true"
    if args.enforce:
        options["enforce"] = "true"
    if args.ttl is not None:
        options["ttl"] = seconds_of(args.ttl, "--ttl")
    if args.confirm_within is not None:
        options["confirmWithin"] = seconds_of(args.confirm_within, "--confirm-within")
    answer = HubClient(args.hub).ask("PUT", f"{ROOT}/policies?{urlencode(options)}", body)
    if args.output == "json":
        print(json.dumps(answer, indent=1))
    else:
        for each in answer["attachments"]:
            print(f"{each['kind']} {printable(', '.join(each['subjects'][:3]))}: {each['rules']} of 256 rules")
    return _told(answer, quiet=args.output == "json", dry_run=args.dry_run)


def plain(args: argparse.Namespace) -> int:
    return _told(HubClient(args.hub).ask("POST", f"{ROOT}/{args.request}"))


def delete(args: argparse.Namespace) -> int:
    client = HubClient(args.hub)
    names, code = [args.name], 0
    if args.all:
        found = client.ask("GET", f"{ROOT}/policies")
        names = [each["name"] for each in found if not each["owner"]]
        if objects := [each["name"] for each in found if each["owner"]]:
            complain(f"objects of the cluster stay: kubectl delete firewallpolicy {' '.join(objects)}")
            code = 3
    for name in names:
        code = max(code, _told(client.ask("DELETE", f"{ROOT}/policies/{quote(name, safe='')}")))
    return code


def policies(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the policies that a hub has enforced, or the one that is named."""
    client = HubClient(args.hub)
    if args.name is not None:
        return [client.ask("GET", f"{ROOT}/policies/{quote(args.name, safe='')}")]
    found: list[dict[str, Any]] = client.ask("GET", f"{ROOT}/policies")
    return found


def status(args: argparse.Namespace) -> int:
    answer = HubClient(args.hub).ask("GET", f"{ROOT}/status")
    if args.output == "json":
        print(json.dumps(answer, indent=1))
    else:
        print(f"revision {answer['revision']}, {len(answer['nodes'])} nodes")
        if answer["confirm_within"] is not None:
            print(f"undone in {answer['confirm_within']:.0f} s unless confirmed")
        if answer["exempt"]:
            print(f"exempt: {', '.join(answer['exempt'])}")
        for node in answer["nodes"]:
            print(_line(node))
            show_node({**node, "confirmWithin": node["confirm_within"]})
    for warning in [*answer["warnings"], *filter(None, [answer["problem"]])]:
        complain(f"warning: {warning}")
    return 0


def events(args: argparse.Namespace) -> int:
    """Print events of all nodes; those they still have, and with --follow what comes."""
    asked = {"kfl": args.filter, "recent": "true"}
    lost = 0
    with HubClient(args.hub).socket(f"{ROOT}/events?{urlencode(asked)}") as socket:
        while True:
            try:
                said = json.loads(socket.recv(timeout=None if args.follow else 2))
            except TimeoutError:
                return 0
            if said["op"] == "error":
                raise UsageError(said["message"])
            for event in said["events"]:
                event.pop("sequence", None)
                print(json.dumps(event), flush=True)
            if said["lost"] > lost:
                complain(f"{said['lost'] - lost} events came faster than they were read")
                lost = said["lost"]


def _ended(args: argparse.Namespace) -> list[str]:
    return [each if each.endswith("\n") else f"{each}\n" for each in read_texts([*args.files, *args.file])]


def _told(answer: dict[str, Any], *, quiet: bool = False, dry_run: bool = False) -> int:
    """Print how the nodes fare; return 3 if not all of them enforce what was asked for."""
    if not quiet:
        for node in answer["nodes"]:
            print(_line(node))
        if dry_run:
            print("nothing was changed")
        else:
            print(f"revision {answer['revision']}")
        if answer["confirm_within"] is not None:
            print(
                f'undone in {answer["confirm_within"]:.0f} s unless confirmed: "kubeshark firewall confirm --hub URL"'
            )
    for warning in answer["warnings"]:
        complain(f"warning: {warning}")
    if not answer["nodes"] and not dry_run:
        complain("warning: this hub has no workers: nothing is enforced anywhere")
        return 3
    return 3 if any(node["state"] != "enforced" for node in answer["nodes"]) else 0


def _line(node: dict[str, Any]) -> str:
    why = f": {node['why']}" if node["why"] else ""
    return printable(f"{node['node']}: {node['state']}, generation {node['generation']}, {node['ms']:.0f} ms{why}")
