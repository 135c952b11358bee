"""What one machine says of its firewall, as text: the same here and for each node of a hub."""

from __future__ import annotations

from typing import Any

from kubeshark.cli.terminal._complain import printable

__all__ = ["show_node"]


def show_node(status: dict[str, Any]) -> None:
    """Print what one machine says of itself."""
    if status["confirmWithin"] is not None:
        print(f"undone in {status['confirmWithin']:.0f} s unless confirmed")
    for policy in status["policies"]:
        if policy["ttlLeft"] is not None:
            left = f"undone in {policy['ttlLeft']:.0f} s" if policy["ttlLeft"] else "undone"
            print(f"policy {printable(policy['name'])}: {left}: its time is over then")
    for target in status["targets"]:
        hooks = ", ".join(f"{device} ({kind})" for device, kind in target["hooks"].items())
        print(f"{printable(target['name'])}: {hooks or 'no device'}")
        for device, why in target["notEnforced"].items():
            print(f"  not enforced: {device}: {printable(why)}")
        if target["exempt"]:
            print(f"  exempt: {', '.join(target['exempt'])}")
        for rule in target["rules"]:
            where = printable(f"{rule['policy']} {rule['direction']}/{rule['rule']}")
            print(f"  {where}  {rule['action']}  {rule['packets']:,} packets  {rule['bytes']:,} bytes")
        for name in target.get("names", ()):
            some = ", ".join(name["some"]) + (", …" if name["addresses"] > len(name["some"]) else "")
            problem = f"; {name['problem']}: they stay" if name["problem"] else ""
            print(
                printable(f"  name {name['name']}: {name['addresses']} addresses{f': {some}' if some else ''}{problem}")
            )
        other = ", ".join(f"{name} {count:,}" for name, count in target["other"].items() if count)
        print(f"  others: {other or 'none'}; events {target['events']:,}, lost {target['lost']:,}")
