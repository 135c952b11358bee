"""kubeshark store names add|list: who had an address when."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.cli._life import add_action
from kubeshark.cli.options._store_option import store_path

if TYPE_CHECKING:
    from kubeshark.core_capture.store import NameRecord, Store

__all__ = ["add_name_actions"]

NAMES = """Say whose addresses were whose, and when: pods, services, nodes and hosts outside. Queries then know them by
name as of each packet's time: src.name, dst.pod.name, services, … They are kept in the store, encrypted and signed as
its segments are.

A file is a list in YAML or JSON. Without since a name was always so, without until it still is.

  - {kind: pod, name: cart-6d8, namespace: shop, addresses: [10.0.0.4], node: lab-2, labels: {app: cart},
     since: 2026-03-14T22:00:00Z, until: 2026-03-14T23:00:00Z}
  - {kind: service, name: stock, namespace: shop, addresses: [10.96.0.9]}
  - {name: db.example.com, addresses: [192.0.2.7]}

examples:
  kubeshark store names add names.yaml
  kubeshark store names add --kube         now, and again later: what is gone then ended
  kubeshark store names add --dns          what DNS answers in the captures told: src.dns, dst.dns, src.name, …
  kubeshark store names list --output json
"""


def add_name_actions(actions: Any) -> None:
    names = actions.add_parser(
        "names",
        help="who had an address when",
        description=NAMES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = names.add_subparsers(metavar="add|list", required=True, dest="verb")
    add = add_action(verbs, "add", "add the names of a file", NAMES, run_add)
    source = add.add_mutually_exclusive_group(required=True)
    source.add_argument("file", metavar="FILE", type=Path, nargs="?")
    source.add_argument("--kube", action="store_true", help="what the cluster of your kubeconfig has now")
    source.add_argument("--dns", action="store_true", help="what DNS answers in the captures told")
    add.add_argument(
        "--recipient",
        action="append",
        default=[],
        metavar="age1…",
        help="who may read the names (repeat); default: you",
    )
    add_action(verbs, "list", "show the names", NAMES, run_list)


def run_add(args: argparse.Namespace) -> int:
    now_ns = time.time_ns()
    if args.kube:
        from kubeshark.cluster import Cluster
        from kubeshark.pipeline.names._cluster_names import follow_names, present_names

        cluster = Cluster.open()
        added = present_names(cluster.list, now_ns)
        kept = _open(args).change_names(lambda known: follow_names(known, added, now_ns), recipients=args.recipient)
    elif args.dns:
        added, kept = _add_heard(args)
    else:
        added, kept = _add_file(args, now_ns)
    if args.output == "json":
        print(json.dumps({"added": len(added), "names": len(kept)}))
    else:
        print(
            f"{len(added)} names {'seen' if args.kube else 'heard' if args.dns else 'added'}, {len(kept)} in the store"
        )
    return 0


def _add_file(args: argparse.Namespace, now_ns: int) -> tuple[list[NameRecord], list[NameRecord]]:
    from kubeshark._document import MAX_BYTES
    from kubeshark.errors import InputError
    from kubeshark.pipeline.names._name_file import merge_names, parse_names

    try:
        with args.file.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {args.file}: {error.strerror}") from error
    added = parse_names(data, str(args.file), now_ns)
    return added, _open(args).change_names(lambda known: merge_names(known, added), recipients=args.recipient)


def _add_heard(args: argparse.Namespace) -> tuple[list[NameRecord], list[NameRecord]]:
    from kubeshark.cli.terminal._complain import complain
    from kubeshark.cli.terminal._progress import Progress
    from kubeshark.pipeline import Pipeline, QueryProgress
    from kubeshark.pipeline.names._heard_names import FIELDS, HEARD, MAX_HEARD, heard_names
    from kubeshark.pipeline.names._name_file import merge_names

    with Pipeline.open(store_path(args), create=False) as pipeline, Progress("reading DNS answers") as progress:

        def show(now: QueryProgress) -> None:
            progress.show(now.done, now.total)

        found = pipeline.query(HEARD, on_progress=show)
        added, heard = heard_names(found.batches(FIELDS), pipeline.store.names())
        for problem in found.problems:
            complain(str(problem))
        if heard > len(added):
            complain(f"{heard:,} names were told: the latest {MAX_HEARD:,} are taken")
        kept = pipeline.store.change_names(lambda known: merge_names(known, added), recipients=args.recipient)
    return added, kept


def run_list(args: argparse.Namespace) -> int:
    rows = [_row(record) for record in _open(args).names()]
    if args.output == "json":
        print(json.dumps(rows))
        return 0
    for row in rows:
        path = f"{row['namespace']}/{row['name']}" if row["namespace"] else row["name"]
        print(f"{row['kind']:<8} {path:<40} {', '.join(row['addresses'])}  {row['since']} to {row['until'] or 'now'}")
    return 0


def _row(record: NameRecord) -> dict[str, Any]:
    import msgspec

    from kubeshark.pipeline import rfc3339

    row: dict[str, Any] = msgspec.structs.asdict(record)
    since, until = row.pop("since_ns"), row.pop("until_ns")
    return {**row, "since": rfc3339(since), "until": None if until is None else rfc3339(until)}


def _open(args: argparse.Namespace) -> Store:
    from kubeshark.core_capture.store import open_store

    return open_store(store_path(args))
