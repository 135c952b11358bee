"""kubeshark firewall learn: policies from recorded traffic."""

from __future__ import annotations

import argparse
from typing import Any

from kubeshark.cli.options._firewall_options import (
    add_inventory_options,
    add_traffic_options,
    coverage_of,
    find_traffic,
    inventory_for,
    open_store,
)
from kubeshark.cli.terminal._complain import complain
from kubeshark.errors import UsageError

__all__ = ["add_actions"]

WIDEST = {4: 32, 6: 128}


def add_actions(actions: Any) -> None:
    learn = actions.add_parser("learn", help="propose a policy that accepts what was recorded")
    learn.add_argument("kfl", nargs="?", default="", metavar="KFL", help="only the connections of entries that match")
    learn.add_argument(
        "--subject",
        required=True,
        metavar="S",
        help="host, interface:eth0, namespace:shop, pods:shop/app=db, or {pods: {…}} as in a policy",
    )
    learn.add_argument("--name", default="learned", help="of the policy; default: learned")
    learn.add_argument(
        "--group", choices=("workload", "cidr"), default="workload", help="peers by their labels, or not"
    )
    learn.add_argument("--min-flows", type=int, default=1, metavar="N", help="leave out what was asked less often")
    learn.add_argument(
        "--max-prefix", default="24/64", metavar="V4/V6", help="no network is opened wider than this; default: 24/64"
    )
    learn.add_argument("--format", choices=("kubeshark", "networkpolicy"), default="kubeshark")
    add_traffic_options(learn)
    add_inventory_options(learn)
    learn.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from kubeshark.firewall import learn, lesson_as_network_policies, lesson_as_policies, parse_policies, parse_subject

    subject = parse_subject(args.subject)
    with open_store(args) as pipeline:
        inventory = inventory_for(args)
        found = find_traffic(pipeline, args, args.kfl)
        lesson = learn(
            found.connections,
            subject,
            inventory,
            group=args.group,
            min_flows=args.min_flows,
            max_prefix=_prefixes(args.max_prefix),
            coverage=coverage_of(pipeline, found),
        )
    if args.format == "networkpolicy":
        print(lesson_as_network_policies(lesson, args.name), end="")
    else:
        text = lesson_as_policies(lesson, args.name)
        parse_policies(text.encode(), "learned")  # a name that no policy may have is told now
        print(text, end="")
    for problem in (*found.problems, *lesson.problems):
        complain(problem)
    return 3 if found.problems or lesson.problems else 0


def _prefixes(text: str) -> tuple[int, int]:
    four, _, six = text.partition("/")
    if not (four.isdecimal() and six.isdecimal() and int(four) <= WIDEST[4] and int(six) <= WIDEST[6]):
        raise UsageError(f"--max-prefix {text!r} is not two prefixes", hint="write 24/64")
    return int(four), int(six)
