"""kubeshark firewall apply|status|events|confirm|rollback|delete|agent: policies in this kernel, or a hub's."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from kubeshark.cli.firewall_policies import run_dry
from kubeshark.cli.options._configured import add_configured
from kubeshark.cli.options._firewall_options import add_hub_option, add_inventory_options
from kubeshark.cli.remote import _firewall_hub as hub
from kubeshark.cli.terminal._complain import complain
from kubeshark.cli.terminal._firewall_shown import show_node
from kubeshark.errors import UsageError

__all__ = ["add_actions"]


XDP = ("off", "auto", "native", "generic")


def add_actions(actions: Any) -> None:
    apply = actions.add_parser("apply", help="enforce policies beside those before, each in place of its namesake")
    apply.add_argument("files", nargs="*", metavar="FILE")
    apply.add_argument("-f", "--file", action="append", default=[], metavar="FILE")
    apply.add_argument("--replace", action="store_true", help="enforce these and no others (not with --hub)")
    apply.add_argument("--dry-run", action="store_true", help="check and compile; change nothing")
    apply.add_argument("--enforce", action="store_true", help="whatever their mode; default: as they say, else Audit")
    apply.add_argument("--interface", action="append", default=[], metavar="IF", help="devices of the subject host")
    apply.add_argument("--ttl", metavar="D", help="these are undone after so long: 90s, 15m, 2h; 0: they stay")
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
    apply.add_argument(
        "--xdp", choices=XDP, default="off", help="drop by XDP in front of that; auto: on network cards that can"
    )
    apply.add_argument(
        "--rollout", choices=("all", "node"), default="all", help="with --hub; node: one by one, stop if one fails"
    )
    apply.add_argument("--output", choices=("text", "json"), default="text")
    add_inventory_options(apply)
    add_hub_option(apply)
    apply.set_defaults(run=run_apply)

    status = actions.add_parser("status", help="show what is enforced, and its counters")
    status.add_argument("--output", choices=("text", "json"), default="text")
    add_hub_option(status)
    status.set_defaults(run=run_status)

    events = actions.add_parser("events", help="show what was refused or audited, a JSON document a line")
    events.add_argument("--follow", action="store_true", help="go on with what comes")
    events.add_argument("--filter", default="", metavar="KFL", help="e.g. 'verdict == \"deny\" && dst.port == 5432'")
    add_hub_option(events)
    events.set_defaults(run=run_events)

    for name, does in (("confirm", "keep what was applied"), ("rollback", "go back to what was enforced before")):
        plain = actions.add_parser(name, help=does)
        add_hub_option(plain)
        plain.set_defaults(run=run_plain, request=name)

    delete = actions.add_parser("delete", help="enforce a policy no more, or nothing")
    delete.add_argument("name", nargs="?", metavar="NAME")
    delete.add_argument("--all", action="store_true", help="all of them, and end the process that enforces")
    add_hub_option(delete)
    delete.set_defaults(run=run_delete)

    agent = actions.add_parser("agent", help="the process that enforces; apply starts it")
    agent.add_argument("--fail-mode", choices=("open", "closed"), default="open")
    agent.add_argument("--attach", choices=("tcx", "clsact"))
    agent.add_argument("--xdp", choices=XDP, default="off")
    agent.set_defaults(run=run_agent)


def run_apply(args: argparse.Namespace) -> int:
    from kubeshark.cli import _firewall_local as local

    if args.hub:
        return hub.apply(args)
    if args.dry_run:
        return run_dry(args)
    answer = local.apply(args)
    said = answer.said
    if args.output == "json":
        print(json.dumps({**said, "warnings": answer.problems}, indent=1))
    else:
        for target in said["status"]["targets"]:
            hooks = ", ".join(f"{device} ({kind})" for device, kind in target["hooks"].items())
            print(f"{target['name']}: {len(target['rules'])} rules on {hooks or 'no device'}")
        print(f"generation {said['generation']}, {said['ms']:.0f} ms")
        if answer.confirm_s:
            print(f'undone in {answer.confirm_s:g} s unless confirmed: "kubeshark firewall confirm"')
    for problem in answer.problems:
        complain(f"warning: {problem}")
    return 3 if answer.is_partial else 0


def run_status(args: argparse.Namespace) -> int:
    from kubeshark.firewall.enforcement._agent import ask

    if args.hub:
        return hub.status(args)
    status = ask({"do": "status"})
    if args.output == "json":
        print(json.dumps(status, indent=1))
        return 0
    print(f"generation {status['generation']}, fail mode {status['failMode']}, process {status['pid']}")
    show_node(status)
    return 0


def run_events(args: argparse.Namespace) -> int:
    from kubeshark.firewall.enforcement._agent import ask

    if args.hub:
        return hub.events(args)
    matches = None
    if args.filter:
        from kubeshark.hub.firewall._events import event_filter

        matches = event_filter(args.filter)
    after = 0
    while True:
        answer = ask({"do": "events", "after": after})
        if answer["missed"]:
            complain(f"{answer['missed']} events came faster than they were read")
        for event in answer["events"]:
            after = event.pop("sequence")
            if matches is None or matches(event):
                print(json.dumps(event), flush=True)
        if not args.follow:
            return 0
        time.sleep(0.2)


def run_plain(args: argparse.Namespace) -> int:
    from kubeshark.firewall.enforcement._agent import ask

    if args.hub:
        return hub.plain(args)
    print(f"generation {ask({'do': args.request})['generation']}")
    return 0


def run_delete(args: argparse.Namespace) -> int:
    from kubeshark.cli import _firewall_local as local

    if args.all == bool(args.name):
        raise UsageError("name one policy, or say --all")
    if args.hub:
        return hub.delete(args)
    if args.all:
        print(f"generation {local.delete_all()}: nothing is enforced")
        return 0
    answer = local.delete(args.name)
    print(f"generation {answer.said['generation']}")
    for problem in answer.problems:
        complain(f"warning: {problem}")
    return 3 if answer.is_partial else 0


def run_agent(args: argparse.Namespace) -> int:
    from kubeshark.firewall.enforcement._agent import Agent, runtime_folder

    Agent(runtime_folder(), fail_mode=args.fail_mode, force=args.attach, xdp=args.xdp).run()
    return 0
