"""Policies in this machine's kernel: what `kubeshark firewall` does without a hub, by the process that enforces."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from kubeshark.cli.options._firewall_options import default_mode, exempt_networks, read_texts, seconds_of
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.firewall import Inventory, Policy
    from kubeshark.firewall.sets._set import PolicySet

__all__ = ["Answer", "apply", "current", "delete", "delete_all", "load_against"]

START_S = 15


@dataclass(frozen=True, slots=True)
class Answer:
    """What the process said to a set, and what this command has to say besides."""

    said: dict[str, Any]
    confirm_s: float
    problems: list[str]
    is_partial: bool


def current() -> tuple[PolicySet | None, dict[str, Any]]:
    """Return what is enforced here, and the status; raise FirewallError if nothing is."""
    from kubeshark.firewall.enforcement._agent import ask
    from kubeshark.firewall.sets._set import set_from

    status = ask({"do": "status"})
    document = ask({"do": "set"})["set"]
    return None if document is None else set_from(document), status


def apply(args: argparse.Namespace) -> Answer:
    """Enforce the policies of files beside those that are enforced, or with --replace instead of them."""
    from kubeshark.firewall import parse_policies
    from kubeshark.firewall.sets._set import SetPolicy

    given: dict[str, SetPolicy] = {}
    parsed: list[Policy] = []
    for text in read_texts([*args.files, *args.file]):
        [policy] = parse_policies(text.encode(), "policy")
        policy = policy.with_default(default_mode())
        policy = replace(policy, mode="Enforce") if args.enforce else policy
        ttl_s = policy.ttl_s if args.ttl is None else seconds_of(args.ttl, "--ttl")
        given[policy.name] = SetPolicy(policy.name, text, policy.mode, ttl_s)
        parsed.append(policy)
    confirm_s = float(max(policy.confirm_within_s for policy in parsed))
    if args.confirm_within is not None:
        confirm_s = seconds_of(args.confirm_within, "--confirm-within")
    context = {
        "inventory": _text_of(args.inventory) if args.inventory else None,
        "addresses": args.address or None,
        "interfaces": args.interface or None,
        "defaultDeny": args.default_deny or None,
        "exempt": [str(network) for network in exempt_networks()] or None,
    }
    _compiled(given, context)  # before a process is started for what cannot be
    _ensure_agent(args.fail_mode, args.attach, args.xdp)
    before, status = current()
    if before is not None:
        context = {name: value if value is not None else before.context.get(name) for name, value in context.items()}
        if not args.replace:
            given = {**_left(before, status), **given}
    return _put(given, context, confirm_s, status["issue"])


def delete(name: str) -> Answer:
    before, status = current()
    left = {} if before is None else _left(before, status)
    if before is None or name not in left:
        raise UsageError(f"no policy {name!r} is enforced", hint='see "kubeshark firewall get"')
    del left[name]
    return _put(left, before.context, 0, status["issue"])


def delete_all() -> int:
    """Enforce nothing, end the process; return the generation."""
    from kubeshark.firewall.enforcement._agent import ask

    generation = int(ask({"do": "remove"})["generation"])
    ask({"do": "stop"})
    return generation


def _left(before: PolicySet, status: dict[str, Any]) -> dict[str, Any]:
    """Return the policies that are enforced now, each with the time that is left to it."""
    ttl = {each["name"]: each["ttlLeft"] for each in status["policies"]}
    return {
        each.name: replace(each, ttl_s=ttl.get(each.name) or 0.0)
        for each in before.policies
        if ttl.get(each.name) != 0.0
    }


def _compiled(given: dict[str, Any], context: dict[str, Any]) -> tuple[list[Any], list[str], list[str]]:
    """Return targets, warnings, and what this machine cannot enforce."""
    from kubeshark.firewall import compile_policies, parse_policies
    from kubeshark.firewall.sets._targets import targets_of

    policies = [
        replace(policy, mode=each.mode)
        for each in given.values()
        for policy in parse_policies(each.text.encode(), each.name)
    ]
    compiled = compile_policies(policies, _inventory(context), follows_names=True)
    interfaces = context.get("interfaces") or ()
    targets, missing = targets_of(compiled, interfaces=interfaces, default_deny=bool(context.get("defaultDeny")))
    return targets, list(compiled.warnings), missing


def _inventory(context: dict[str, Any]) -> Inventory:
    from kubeshark.cli.options._firewall_options import with_addresses
    from kubeshark.firewall import Inventory, parse_inventory

    text = context.get("inventory")
    known = parse_inventory(text.encode(), "inventory") if text else Inventory()
    known = replace(known, exempt=tuple(map(ip_network, context.get("exempt") or ())))
    return with_addresses(known, context.get("addresses") or ())


def _text_of(path: str) -> str:
    from kubeshark.firewall.policies._inventory import MAX_JSON_BYTES

    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - a bounded read
        return file.read(MAX_JSON_BYTES + 1)


def _put(given: dict[str, Any], context: dict[str, Any], confirm_s: float, issue: int) -> Answer:
    from kubeshark.firewall.enforcement._agent import ask
    from kubeshark.firewall.sets._set import PolicySet, set_to

    targets, warnings, missing = _compiled(given, context)
    made = PolicySet(issue + 1, issue + 1, tuple(given.values()), tuple(targets), confirm_s, context=context)
    said = ask({"do": "put", "set": set_to(made), "replaces": issue})
    not_enforced = [
        f"{each['name']}: {device}: not enforced: {why}"
        for each in said["status"]["targets"]
        for device, why in each["notEnforced"].items()
    ]
    return Answer(said, confirm_s, [*warnings, *missing, *not_enforced], bool(missing or not_enforced))


def _ensure_agent(fail_mode: str, attach: str | None, xdp: str) -> None:
    """Start the process that enforces, unless it runs; what it complains of when it cannot is raised here."""
    from kubeshark.firewall._errors import FirewallError
    from kubeshark.firewall.enforcement._agent import ask, runtime_folder

    try:
        known = ask({"do": "status"})
    except FirewallError:
        pass
    else:
        if known["failMode"] != fail_mode:
            raise UsageError(
                f"the firewall runs with --fail-mode {known['failMode']}",
                hint='first "kubeshark firewall delete --all"',
            )
        if xdp not in ("off", now := known.get("xdp", "off")):
            raise UsageError(f"the firewall runs with --xdp {now}", hint='first "kubeshark firewall delete --all"')
        return
    command = [sys.executable, "-m", "kubeshark", "firewall", "agent", "--fail-mode", fail_mode]
    command += ["--attach", attach] if attach else []
    command += ["--xdp", xdp] if xdp != "off" else []
    folder = runtime_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            said = (folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise FirewallError(said[-1].removeprefix("kubeshark: ") if said else "firewall: its process ended at once")
        try:
            ask({"do": "ping"}, timeout_s=2)
        except FirewallError:
            time.sleep(0.02)
        else:
            return
    raise FirewallError(f"firewall: its process did not start in {START_S} s", hint=f"see {folder / 'log'}")


def load_against(named: str) -> list[Policy]:
    """Return the policies that "current" or a path names."""
    from kubeshark.firewall import load_policies, parse_policies

    if named == "current":
        held, _ = current()
        return (
            []
            if held is None
            else [
                replace(policy, mode=each.mode)
                for each in held.policies
                for policy in parse_policies(each.text.encode(), each.name)
            ]
        )
    return load_policies([named])
