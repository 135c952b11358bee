"""kubeshark firewall apply|status|events|confirm|rollback|delete|agent: policies in this machine's kernel."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.cli._complain import complain, printable
from kubeshark.cli._configured import add_configured
from kubeshark.cli._firewall_options import add_inventory_options, inventory_for
from kubeshark.cli.firewall_policies import run_dry
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.firewall import Compiled
    from kubeshark.firewall._wire import Target

__all__ = ["add_actions"]

CONFIRM_S = 60
"""For Enforce on the host where nothing else is said: the administrator's own session hangs on it."""
START_S = 15
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def add_actions(actions: Any) -> None:
    apply = actions.add_parser("apply", help="enforce policies on this machine, in place of those before")
    apply.add_argument("files", nargs="*", metavar="FILE")
    apply.add_argument("-f", "--file", action="append", default=[], metavar="FILE")
    apply.add_argument("--dry-run", action="store_true", help="check and compile; change nothing")
    apply.add_argument("--enforce", action="store_true", help="whatever their mode; default: as they say, else Audit")
    apply.add_argument("--interface", action="append", default=[], metavar="IF", help="devices of the subject host")
    apply.add_argument("--ttl", metavar="D", help="undone after so long: 90s, 15m, 2h; 0: stays")
    apply.add_argument("--confirm-within", metavar="D", help="undone unless confirmed; for the host 60s, 0: never")
    apply.add_argument("--default-deny", action="store_true", help="refuse on these subjects what no rule accepts")
    add_configured(
        apply,
        "--fail-mode",
        key="firewall.failMode",
        choices=("open", "closed"),
        default="open",
        help="what a killed process leaves",
    )
    apply.add_argument("--attach", choices=("tcx", "clsact"), help="default: tcx, or clsact before kernel 6.6")
    apply.add_argument("--output", choices=("text", "json"), default="text")
    add_inventory_options(apply)
    apply.set_defaults(run=run_apply)

    status = actions.add_parser("status", help="show what is enforced, and its counters")
    status.add_argument("--output", choices=("text", "json"), default="text")
    status.set_defaults(run=run_status)

    events = actions.add_parser("events", help="show what was refused or audited, a JSON document a line")
    events.add_argument("--follow", action="store_true", help="go on with what comes")
    events.set_defaults(run=run_events)

    for name, does in (("confirm", "keep what was applied"), ("rollback", "go back to what was enforced before")):
        plain = actions.add_parser(name, help=does)
        plain.set_defaults(run=run_plain, request=name)

    delete = actions.add_parser("delete", help="enforce a policy no more, or nothing")
    delete.add_argument("name", nargs="?", metavar="NAME")
    delete.add_argument("--all", action="store_true", help="all of them, and end the process that enforces")
    delete.set_defaults(run=run_delete)

    agent = actions.add_parser("agent", help="the process that enforces; apply starts it")
    agent.add_argument("--fail-mode", choices=("open", "closed"), default="open")
    agent.add_argument("--attach", choices=("tcx", "clsact"))
    agent.set_defaults(run=run_agent)


def run_apply(args: argparse.Namespace) -> int:
    from kubeshark.firewall import compile_policies, load_policies
    from kubeshark.firewall._agent import ask
    from kubeshark.firewall._wire import target_to

    if args.dry_run:
        return run_dry(args)
    files = [*args.files, *args.file]
    if not files:
        raise UsageError("no policy is given", hint="name a file, or a folder of policies")
    policies = load_policies(files)
    compiled = compile_policies(policies, inventory_for(args), mode="Enforce" if args.enforce else None)
    targets, missing = _targets(compiled, args.interface, default_deny=args.default_deny)
    enforces = args.enforce or any(policy.mode == "Enforce" for policy in policies)
    confirm_s = max([policy.confirm_within_s for policy in policies], default=0)
    if enforces and not confirm_s and any(target.is_host for target in targets):
        confirm_s = CONFIRM_S
    if args.confirm_within is not None:
        confirm_s = _seconds(args.confirm_within, "--confirm-within")
    ttl_s = min([policy.ttl_s for policy in policies if policy.ttl_s], default=0)
    if args.ttl is not None:
        ttl_s = _seconds(args.ttl, "--ttl")
    _ensure_agent(args.fail_mode, args.attach)
    request = {
        "do": "apply",
        "targets": [target_to(target) for target in targets],
        "confirmWithin": confirm_s,
        "ttl": ttl_s,
    }
    answer = ask(request)
    problems = [*compiled.warnings, *missing]
    problems += [
        f"{each['name']}: {device}: not enforced: {why}"
        for each in answer["status"]["targets"]
        for device, why in each["notEnforced"].items()
    ]
    if args.output == "json":
        print(json.dumps({**answer, "warnings": problems}, indent=1))
    else:
        for target in answer["status"]["targets"]:
            hooks = ", ".join(f"{device} ({kind})" for device, kind in target["hooks"].items())
            print(f"{target['name']}: {len(target['rules'])} rules on {hooks or 'no device'}")
        print(f"generation {answer['generation']}, {answer['ms']:.0f} ms")
        if confirm_s:
            print(f'undone in {confirm_s} s unless confirmed: "kubeshark firewall confirm"')
    for problem in problems:
        complain(f"warning: {problem}")
    return 3 if missing or any(each["notEnforced"] for each in answer["status"]["targets"]) else 0


def _targets(compiled: Compiled, interfaces: Sequence[str], *, default_deny: bool) -> tuple[list[Target], list[str]]:
    """Return what this machine can enforce, and what it cannot, in words."""
    from dataclasses import replace
    from ipaddress import ip_network

    from kubeshark.firewall import Action, Direction, Rule, Tier
    from kubeshark.firewall._wire import Target

    everybody = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    targets: list[Target] = []
    missing: list[str] = []
    for attachment in compiled.attachments:
        rules = attachment.rules
        if default_deny:
            last = tuple(
                Rule("default-deny", direction.name.lower(), Tier.BASELINE, direction, Action.DENY, everybody, ())
                for direction in Direction
            )
            try:
                rules = replace(rules, rules=(*rules.rules, *last))
            except ValueError as error:
                raise UsageError(f"{attachment.title}: --default-deny: {error}", hint="join rules") from None
        if attachment.kind == "interface":
            targets += [Target(member.name, rules, (member.name,)) for member in attachment.members]
        elif attachment.kind == "host":
            targets.append(Target("host", rules, tuple(interfaces or _outer_devices()), is_host=True))
        else:
            missing.append(f"{attachment.title}: pods are enforced by the workers of a cluster, not by this command")
    return targets, missing


def _outer_devices() -> list[str]:
    """Return the devices of default routes: what the host talks to others by."""
    found: dict[str, None] = {}
    for line in Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1] == "00000000" and fields[7] == "00000000":
            found[fields[0]] = None
    six = Path("/proc/net/ipv6_route")
    for line in six.read_text(encoding="ascii").splitlines() if six.exists() else ():
        fields = line.split()
        if fields[0] == "0" * 32 and fields[1] == "00" and fields[9] != "lo":
            found[fields[9]] = None
    if not found:
        raise UsageError("no device has a default route", hint="name the host's devices by --interface")
    return list(found)


def _seconds(text: str, option: str) -> int:
    match = re.fullmatch(r"(\d{1,7})([smhd]?)", text)
    if match is None:
        raise UsageError(f"{option} {text!r} is no duration", hint="write 90s, 15m, 2h or 0")
    return int(match[1]) * UNITS[match[2]]


def _ensure_agent(fail_mode: str, attach: str | None) -> None:
    """Start the process that enforces, unless it runs; what it complains of when it cannot is raised here."""
    from kubeshark.firewall._agent import ask, runtime_folder
    from kubeshark.firewall._errors import FirewallError

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
        return
    command = [sys.executable, "-m", "kubeshark", "firewall", "agent", "--fail-mode", fail_mode]
    command += ["--attach", attach] if attach else []
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


def run_status(args: argparse.Namespace) -> int:
    from kubeshark.firewall._agent import ask

    status = ask({"do": "status"})
    if args.output == "json":
        print(json.dumps(status, indent=1))
        return 0
    print(f"generation {status['generation']}, fail mode {status['failMode']}, process {status['pid']}")
    if status["confirmWithin"] is not None:
        print(f"undone in {status['confirmWithin']:.0f} s unless confirmed")
    if status["ttl"] is not None:
        print(f"undone in {status['ttl']:.0f} s: its time is over then")
    for target in status["targets"]:
        hooks = ", ".join(f"{device} ({kind})" for device, kind in target["hooks"].items())
        print(f"{target['name']}: {hooks or 'no device'}")
        for device, why in target["notEnforced"].items():
            print(f"  not enforced: {device}: {printable(why)}")
        if target["exempt"]:
            print(f"  exempt: {', '.join(target['exempt'])}")
        for rule in target["rules"]:
            where = printable(f"{rule['policy']} {rule['direction']}/{rule['rule']}")
            print(f"  {where}  {rule['action']}  {rule['packets']:,} packets  {rule['bytes']:,} bytes")
        other = ", ".join(f"{name} {count:,}" for name, count in target["other"].items() if count)
        print(f"  others: {other or 'none'}; events {target['events']:,}, lost {target['lost']:,}")
    return 0


def run_events(args: argparse.Namespace) -> int:
    from kubeshark.firewall._agent import ask

    after = 0
    while True:
        answer = ask({"do": "events", "after": after})
        for event in answer["events"]:
            if after and event["sequence"] > after + 1:
                complain(f"{event['sequence'] - after - 1} events came faster than they were read")
            after = event.pop("sequence")
            print(json.dumps(event), flush=True)
        if not args.follow:
            return 0
        time.sleep(0.2)


def run_plain(args: argparse.Namespace) -> int:
    from kubeshark.firewall._agent import ask

    print(f"generation {ask({'do': args.request})['generation']}")
    return 0


def run_delete(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from kubeshark.firewall._agent import ask
    from kubeshark.firewall._wire import target_from, target_to

    if args.all == bool(args.name):
        raise UsageError("name one policy, or say --all")
    if args.all:
        answer = ask({"do": "remove"})
        ask({"do": "stop"})
        print(f"generation {answer['generation']}: nothing is enforced")
        return 0
    targets = [target_from(each) for each in ask({"do": "targets"})["targets"]]
    if not any(rule.policy == args.name for target in targets for rule in target.rules.rules):
        raise UsageError(f"no policy {args.name!r} is enforced", hint='see "kubeshark firewall status"')
    left = [
        replace(
            target,
            rules=replace(target.rules, rules=tuple(rule for rule in target.rules.rules if rule.policy != args.name)),
        )
        for target in targets
    ]
    answer = ask({"do": "apply", "targets": [target_to(target) for target in left if target.rules.rules]})
    print(f"generation {answer['generation']}")
    return 0


def run_agent(args: argparse.Namespace) -> int:
    from kubeshark.firewall._agent import Agent, runtime_folder

    Agent(runtime_folder(), fail_mode=args.fail_mode, force=args.attach).run()
    return 0
