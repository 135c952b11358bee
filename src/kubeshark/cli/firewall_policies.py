"""kubeshark firewall get|schema, and what apply --dry-run says: policies as documents."""

from __future__ import annotations

import argparse
import json
from typing import Any

from kubeshark.cli.options._firewall_options import add_hub_option, default_mode, inventory_for
from kubeshark.cli.terminal._complain import complain, printable
from kubeshark.errors import UsageError

__all__ = ["add_actions", "run_dry"]


def add_actions(actions: Any) -> None:
    get = actions.add_parser("get", help="show the policies that are enforced, or one of them")
    get.add_argument("name", nargs="?", metavar="NAME")
    get.add_argument("--output", choices=("table", "yaml", "json"), default=None)
    add_hub_option(get)
    get.set_defaults(run=run_get)

    schema = actions.add_parser("schema", help="print the JSON Schema of policies, for editors")
    schema.set_defaults(run=run_schema)


def run_get(args: argparse.Namespace) -> int:
    found = _of_hub(args) if args.hub else _of_this_machine(args.name)
    output = args.output or ("table" if args.name is None else "yaml")
    if output == "json":
        print(json.dumps(found if args.name is None else found[0], ensure_ascii=False, indent=1))
    elif output == "yaml":
        texts = (each["text"] if each["text"].endswith("\n") else f"{each['text']}\n" for each in found)
        print("---\n".join(text.removeprefix("---\n") for text in texts), end="")
    elif not found:
        print("no policies are enforced")
    else:
        rows = [("NAME", "TIER", "PRIORITY", "MODE", "RULES", "COMPILED", "GENERATION", "STATE")]
        for each in found:
            nodes = each["nodes"]
            generation = "/".join(str(node["generation"]) for node in nodes[:3]) or "-"
            shown = (each["name"], each["tier"], str(each["priority"]), each["mode"], str(each["rules"]))
            rows.append((*shown, str(each["compiled"]), generation, _state(nodes)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _state(nodes: list[dict[str, Any]]) -> str:
    if not nodes:
        return "no worker enforces"
    others = [f"{node['node']} {node['state']}" for node in nodes if node["state"] != "enforced"]
    done = f"enforced on {len(nodes) - len(others)} of {len(nodes)}"
    return printable(f"{done}; {', '.join(others[:3])}" if others else done)


def _of_hub(args: argparse.Namespace) -> list[dict[str, Any]]:
    from kubeshark.cli.remote._firewall_hub import policies

    return policies(args)


def _of_this_machine(name: str | None) -> list[dict[str, Any]]:
    """Return what the process that enforces holds, in the form of a hub's answer: this machine is the one node."""
    from kubeshark.cli._firewall_local import current
    from kubeshark.firewall import parse_policies
    from kubeshark.firewall._errors import FirewallError

    try:
        held, status = current()
    except FirewallError:
        held, status = None, {}
    found = []
    for each in held.policies if held is not None else ():
        [policy] = parse_policies(each.text.encode(), each.name)
        told = next(one for one in status["policies"] if one["name"] == each.name)
        broken = {
            why
            for target in status["targets"]
            for why in target["notEnforced"].values()
            if any(rule["policy"] == each.name for rule in target["rules"])
        }
        state = "expired" if told["ttlLeft"] == 0 else "not enforced" if broken else "enforced"
        node = {"node": "this machine", "state": state, "why": "; ".join(sorted(broken)), "rules": told["rules"]}
        found.append(
            {
                "name": each.name,
                "tier": policy.tier.name.capitalize(),
                "priority": policy.priority,
                "mode": each.mode,
                "rules": len(policy.rules),
                "compiled": told["rules"],
                "version": each.version,
                "ttl_left": told["ttlLeft"],
                "nodes": [{**node, "generation": status["generation"]}],
                "text": each.text,
            }
        )
    if name is not None:
        found = [each for each in found if each["name"] == name]
        if not found:
            raise UsageError(f"no policy {name!r} is enforced here", hint='see "kubeshark firewall get"')
    return sorted(found, key=lambda each: (each["tier"], each["priority"], each["name"]))


def run_schema(_args: argparse.Namespace) -> int:
    from kubeshark.firewall import policy_schema

    print(json.dumps(policy_schema(), indent=2))
    return 0


def run_dry(args: argparse.Namespace) -> int:
    """Check and compile what `apply` is given, and change nothing."""
    from kubeshark.firewall import compile_policies, load_policies

    files = [*args.files, *args.file]
    if not files:
        raise UsageError("no policy is given", hint="name a file, or a folder of policies")
    policies = [policy.with_default(default_mode()) for policy in load_policies(files)]
    compiled = compile_policies(policies, inventory_for(args), follows_names=True)
    if args.output == "json":
        attachments = [
            {
                "kind": each.kind,
                "subjects": [member.name for member in each.members],
                "policies": list(each.policies),
                "rules": len(each.rules.rules),
            }
            for each in compiled.attachments
        ]
        document = {
            "policies": [policy.name for policy in compiled.policies],
            "attachments": attachments,
            "warnings": list(compiled.warnings),
        }
        print(json.dumps(document, ensure_ascii=False, indent=1))
        return 0
    for policy in compiled.policies:
        tier, count = policy.tier.name.capitalize(), len(policy.rules)
        print(f"policy {policy.name}: {tier} {policy.priority}, {policy.mode}, {count} rules: valid")
    for each in compiled.attachments:
        print(f"{each.kind} {each.title}: {len(each.rules.rules)} of 256 rules from {', '.join(each.policies)}")
    for warning in compiled.warnings:
        complain(f"warning: {warning}")
    print("nothing was changed")
    return 0
