"""kubeshark firewall get|schema, and what apply --dry-run says: policies as documents."""

from __future__ import annotations

import argparse
import json
from typing import Any

from kubeshark.cli._complain import complain
from kubeshark.cli._firewall_options import inventory_for
from kubeshark.errors import UsageError

__all__ = ["add_actions", "run_dry"]


def add_actions(actions: Any) -> None:
    get = actions.add_parser("get", help="show the policies that are kept, or one of them")
    get.add_argument("name", nargs="?", metavar="NAME")
    get.add_argument("--output", choices=("table", "yaml", "json"), default=None)
    get.set_defaults(run=run_get)

    schema = actions.add_parser("schema", help="print the JSON Schema of policies, for editors")
    schema.set_defaults(run=run_schema)


def run_get(args: argparse.Namespace) -> int:
    from kubeshark.firewall import PolicyFolder, policy_folder

    folder = PolicyFolder(policy_folder())
    if args.name is None:
        kept = folder.all()
    else:
        one = folder.get(args.name)
        if one is None:
            raise UsageError(f"no policy {args.name!r} in {folder.path}", hint='see "kubeshark firewall get"')
        kept = [one]
    output = args.output or ("table" if args.name is None else "yaml")
    if output == "json":
        documents = [
            {
                "name": each.policy.name,
                "tier": each.policy.tier.name.capitalize(),
                "priority": each.policy.priority,
                "mode": each.policy.mode,
                "rules": len(each.policy.rules),
                "version": each.version,
                "text": each.text,
            }
            for each in kept
        ]
        print(json.dumps(documents if args.name is None else documents[0], ensure_ascii=False, indent=1))
    elif output == "yaml":
        print("---\n".join(each.text if each.text.endswith("\n") else f"{each.text}\n" for each in kept), end="")
    elif not kept:
        print(f"no policies in {folder.path}")
    else:
        rows = [("NAME", "TIER", "PRIORITY", "MODE", "RULES")]
        for each in kept:
            policy = each.policy
            tier = policy.tier.name.capitalize()
            rows.append((policy.name, tier, str(policy.priority), policy.mode, str(len(policy.rules))))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


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
    policies = load_policies(files)
    compiled = compile_policies(policies, inventory_for(args))
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
