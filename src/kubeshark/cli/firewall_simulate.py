"""kubeshark firewall simulate|diff: what policies would do to recorded traffic."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kubeshark.cli._firewall_local import load_against
from kubeshark.cli.options._firewall_options import (
    add_inventory_options,
    add_traffic_options,
    coverage_of,
    default_mode,
    find_traffic,
    inventory_for,
    names_in,
    open_store,
)
from kubeshark.cli.terminal._complain import complain
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.firewall import Policy, Simulation

__all__ = ["add_actions"]

VERDICTS = ("deny", "reject")


def add_actions(actions: Any) -> None:
    simulate = actions.add_parser("simulate", help="try policies on recorded traffic; touches no kernel")
    simulate.add_argument("policy", metavar="POLICY", help="a file, or a folder of policies")
    simulate.add_argument(
        "kfl", nargs="?", default="", metavar="KFL", help="only the connections of entries that match"
    )
    simulate.add_argument(
        "-f", "--file", action="append", default=[], metavar="MORE", help="more policies, with the first"
    )
    simulate.add_argument("--against", metavar="current|FILE", help="tell what fares otherwise than by these")
    simulate.add_argument(
        "--as-is", action="store_true", help="leave policies of mode Audit in it, instead of enforcing them"
    )
    simulate.add_argument(
        "--strict-fragments", action="store_true", help="judge later fragments too, by the rules that ask for no port"
    )
    simulate.add_argument(
        "--fail-on", metavar="deny,reject", default="", help="exit with 1 if a connection ends so, for CI"
    )
    _add_shared(simulate)
    simulate.set_defaults(run=run_simulate)

    diff = actions.add_parser("diff", help="tell what two policies judge differently in the same traffic")
    diff.add_argument("old", metavar="OLD", help='a file or folder, or "current"')
    diff.add_argument("new", metavar="NEW")
    diff.add_argument("kfl", nargs="?", default="", metavar="KFL")
    _add_shared(diff)
    diff.set_defaults(run=run_diff)


def _add_shared(parser: argparse.ArgumentParser) -> None:
    add_traffic_options(parser)
    add_inventory_options(parser)
    parser.add_argument("--output", choices=("text", "json"), default="text")


def run_simulate(args: argparse.Namespace) -> int:
    from kubeshark.firewall import load_policies, simulation_document, simulation_text

    failing = [each.strip() for each in args.fail_on.split(",") if each.strip()]
    if unknown := [each for each in failing if each not in VERDICTS]:
        raise UsageError(f"--fail-on {unknown[0]!r} is no verdict that fails", hint="write deny, reject or both")
    given = [policy.with_default(default_mode()) for policy in load_policies([args.policy, *args.file])]
    against = load_against(args.against) if args.against else None
    simulation = _simulate(args, given, against, as_is=args.as_is, strict_fragments=args.strict_fragments)
    if args.output == "json":
        print(json.dumps(simulation_document(simulation, given), ensure_ascii=False, indent=1))
    else:
        print("\n".join(simulation_text(simulation, given)))
    failed = [f"{simulation.outcomes[each]:,} {each}" for each in failing if simulation.outcomes[each]]
    if failed:
        complain(f"--fail-on: connections that would fail: {', '.join(failed)}")
    return _exit_code(simulation, has_failed=bool(failed))


def run_diff(args: argparse.Namespace) -> int:
    from kubeshark.firewall import changes_text, load_policies, simulation_document

    old, new = load_against(args.old), load_policies([args.new])
    simulation = _simulate(args, new, old, as_is=False)
    if args.output == "json":
        document = simulation_document(simulation, new)
        print(
            json.dumps(
                {key: document[key] for key in ("window", "coverage", "changed", "changedMore", "warnings")}, indent=1
            )
        )
    else:
        print("\n".join(changes_text(simulation)) or f"no change in {simulation.flows:,} connections")
    return _exit_code(simulation, has_failed=False)


def _simulate(
    args: argparse.Namespace,
    given: Sequence[Policy],
    against: Sequence[Policy] | None,
    *,
    as_is: bool,
    strict_fragments: bool = False,
) -> Simulation:
    from kubeshark.firewall import compile_policies, simulate

    mode = None if as_is else "Enforce"
    with open_store(args) as pipeline:
        inventory, names = inventory_for(args), names_in([*given, *(against or ())], pipeline)
        options: dict[str, Any] = {"mode": mode, "strict_fragments": strict_fragments, "follows_names": True}
        compiled = compile_policies(given, inventory, **options)
        before = None if against is None else compile_policies(against, inventory, **options)
        found = find_traffic(pipeline, args, args.kfl)
        coverage = coverage_of(pipeline, found)
        simulation = simulate(
            compiled, found.connections, inventory=inventory, against=before, coverage=coverage, names=names
        )
    simulation.problems[:0] = found.problems
    return simulation


def _exit_code(simulation: Simulation, *, has_failed: bool) -> int:
    for problem in simulation.problems:
        complain(problem)
    if has_failed:
        return 1
    return 3 if simulation.problems else 0
