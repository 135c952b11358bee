"""kubeshark store prune|snapshot|rotate-keys|recover: what changes a store."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kubeshark.cli._upload import CATALOGUE, UPLOAD, run_catalogue, run_upload
from kubeshark.cli.options._amounts import parse_age, parse_size
from kubeshark.cli.options._store_option import add_store_option, add_time_options, store_path
from kubeshark.cli.terminal._complain import complain, printable
from kubeshark.cli.terminal._progress import Progress

if TYPE_CHECKING:
    from kubeshark.core_capture.store import Store
    from kubeshark.errors import StoreError

__all__ = ["add_action", "add_actions"]

PRUNE = """Delete the oldest segments until the limits are kept. A segment is as old as its last packet, and goes as a
whole; what a snapshot names stays. Of packets that schedules captured their `expire` says when they are too old, sooner
or later than --max-age; --max-bytes counts all the same. With --source, one capture goes instead, whatever its age.

examples:
  kubeshark store prune --max-bytes 20GB --dry-run
  kubeshark store prune --max-age 30d --max-bytes 500GB
  kubeshark store prune --expired                                 what schedules let go, and nothing else
  kubeshark store prune --source capture.pcapng --dry-run
"""
SNAPSHOT = """Name a window of time whose segments retention never deletes.

examples:
  kubeshark store snapshot create incident-7 --since 2026-03-14T22:00:00Z --until 2026-03-14T23:00:00Z
  kubeshark store snapshot create just-now --since -15m
  kubeshark store snapshot list
  kubeshark store snapshot delete incident-7
"""
RECOVER = """Say what a dead writer, a torn disk or a careless hand left in the store; with --yes put right what can be.

A segment that was sealed is published. Packets whose index is missing or damaged get a new index: they keep their bytes
and times, but lose what only the index knew (interfaces, options, the order of packets of the same time, and TLS
secrets, which --keylog gives again). Bytes behind the end of a data file are cut off, a damaged header of it is written
anew. Files that lie under each other's names, or twice, are named and left alone; so is what cannot be read.
Run it before the next import or capture: those clear temporary files away. Exit code 3: something is damaged or lost.

examples:
  kubeshark store recover            what is there to save
  kubeshark store recover --yes      save it
"""
ROTATE = """Encrypt the keys of all files of a store to new recipients. Packets are not encrypted anew: whoever could
read the store keeps what was read or copied before, and the keys of those copies. What is written from now on goes to
the recipients of the import or capture that writes it.

Segments stay signed by the keys of the nodes that wrote them. An identity in another folder gets a signing key of its
own with its first import there, and the keys that the store has by then are trusted with it; elsewhere, or for a copy
of the store, `kubeshark store verify --trust KEY` says so.

When it is interrupted, run the same command again: it goes on where it was, with the old identity.

examples:
  kubeshark store rotate-keys --to age1… --to age1…
  KUBESHARK_IDENTITY=new.age kubeshark store info        afterwards
"""


def add_actions(actions: Any) -> None:
    """Add the sub-commands to the parser of `kubeshark store`."""
    prune = add_action(actions, "prune", "delete the oldest segments, or one capture", PRUNE, run_prune)
    prune.add_argument("--max-bytes", type=parse_size, metavar="SIZE", help="all segments together, e.g. 20GB, 512MiB")
    prune.add_argument("--max-age", type=parse_age, metavar="AGE", help="e.g. 12h, 30d")
    prune.add_argument("--expired", action="store_true", help="what schedules let go; the limits do so, too")
    prune.add_argument(
        "--source", metavar="NAME", help="one capture, by its name or the first 8 digits of its SHA-256 or more"
    )
    prune.add_argument("--dry-run", action="store_true", help="only say what would go")
    _add_recipients(prune, "the catalogue")

    upload = add_action(actions, "upload", "copy what is sealed to an archive", UPLOAD, run_upload)
    add_action(actions, "catalogue", "write down what all indexes say", CATALOGUE, run_catalogue)
    upload.add_argument("url", metavar="URL", help="s3://BUCKET/PREFIX: a prefix of the node's name is made in it")
    upload.add_argument("--node", metavar="NAME", default="", help="default: this machine's name")

    rotate = add_action(actions, "rotate-keys", "give a store other recipients", ROTATE, run_rotate)
    rotate.add_argument("--to", action="append", required=True, metavar="age1…", help="a new recipient (repeat)")

    recover = add_action(actions, "recover", "save what a dead writer left", RECOVER, run_recover)
    recover.add_argument("--yes", action="store_true", help="do it; otherwise it is only said")
    _add_recipients(recover, "what is sealed anew")

    snapshot = actions.add_parser(
        "snapshot",
        help="time windows that prune keeps",
        description=SNAPSHOT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = snapshot.add_subparsers(metavar="create|list|delete", required=True, dest="verb")
    create = add_action(verbs, "create", "name a window", SNAPSHOT, run_snapshot_create)
    create.add_argument("name", metavar="NAME")
    add_time_options(create)
    _add_recipients(create, "the list of snapshots")
    add_action(verbs, "list", "show the snapshots", SNAPSHOT, run_snapshot_list)
    delete = add_action(verbs, "delete", "leave its segments to prune", SNAPSHOT, run_snapshot_delete)
    delete.add_argument("name", metavar="NAME")
    _add_recipients(delete, "the list of snapshots")


def add_action(actions: Any, name: str, summary: str, text: str, run: Callable[[argparse.Namespace], int]) -> Any:
    """Add one sub-command with the options that all have."""
    parser = actions.add_parser(
        name, help=summary, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_store_option(parser)
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)
    return parser


def _add_recipients(parser: Any, what: str) -> None:
    parser.add_argument(
        "--recipient", action="append", default=[], metavar="age1…", help=f"who may read {what} (repeat); default: you"
    )


def _open(args: argparse.Namespace) -> Store:
    from kubeshark.core_capture.store import Store

    return Store.open(store_path(args))


def _complain_all(problems: Iterable[object]) -> int:
    """Say each; return the exit code."""
    code = 0
    for problem in problems:
        complain(problem)
        code = 3
    return code


def run_prune(args: argparse.Namespace) -> int:
    from kubeshark.core_capture.store import Retention

    before_ns = None if args.max_age is None else time.time_ns() - args.max_age
    store = _open(args)
    capture = None if args.source is None else store.capture_named(args.source)
    limits = Retention(args.max_bytes, before_ns, capture=capture, expired=args.expired)
    done = store.prune(limits, recipients=args.recipient, dry_run=args.dry_run)
    if args.output == "json":
        print(
            json.dumps(
                {
                    "deleted": [info.name for info in done.segments],
                    "packets": sum(info.packets for info in done.segments),
                    "freed_bytes": done.freed_bytes,
                    "kept_bytes": done.kept_bytes,
                    "kept_by_snapshots": done.kept_by,
                    "within_limits": not done.is_over,
                    "dry_run": args.dry_run,
                    "problems": [str(problem) for problem in done.problems],
                }
            )
        )
        return _complain_all(done.problems)
    for info in done.segments:
        print(f"{info.name}  {info.packets:,} packets  {printable(info.source.name)}")
    verb = "would free" if args.dry_run else "freed"
    print(f"{verb} {done.freed_bytes:,} bytes in {len(done.segments)} segments; {done.kept_bytes:,} bytes stay")
    for name, segments in done.kept_by.items():
        print(f"snapshot {name} keeps {len(segments)} segments that would go")
    if done.is_over:
        what = "the store still exceeds a limit" if capture is None else "not all of the capture goes"
        complain(f"{what}: what is left is in snapshots or cannot be read")
    return _complain_all(done.problems)


def run_rotate(args: argparse.Namespace) -> int:
    store = _open(args)
    with Progress("rotating") as progress:
        done = store.rotate_keys(args.to, on_progress=progress.show)
    if args.output == "json":
        problems = [str(problem) for problem in done.problems]
        print(json.dumps({"files": done.files, "done_before": done.done_before, "to": args.to, "problems": problems}))
    else:
        before = f", {done.done_before} were done before" if done.done_before else ""
        print(f"{done.files} files are encrypted to {', '.join(args.to)} now{before}")
        print("copies made earlier, and what was read from them, stay readable to the old recipients")
        if signers := store.signers():
            trust = " ".join(f"--trust {key}" for key in signers)
            print(f"segments stay signed by the nodes that wrote them; to verify a copy elsewhere: {trust}")
    return _complain_all(done.problems)


def run_snapshot_create(args: argparse.Namespace) -> int:
    from kubeshark.errors import UsageError
    from kubeshark.pipeline import parse_time

    if not args.since:
        raise UsageError("a snapshot needs --since", hint='for example "--since -15m"; --until is now by default')
    now_ns = time.time_ns()
    store = _open(args)
    made = store.add_snapshot(
        args.name,
        parse_time(args.since, now_ns),
        parse_time(args.until or "now", now_ns),
        recipients=args.recipient,
    )
    kept = [info for info in store.segments() if made.keeps(info)]
    if args.output == "json":
        print(json.dumps(_snapshot_row(store, made)))
    else:
        print(f"snapshot {made.name} keeps {len(kept)} segments, {sum(info.packets for info in kept):,} packets")
    return 0


def run_snapshot_list(args: argparse.Namespace) -> int:
    store = _open(args)
    rows = [_snapshot_row(store, snapshot) for snapshot in store.snapshots()]
    if args.output == "json":
        print(json.dumps(rows))
        return 0
    for row in rows:
        print(
            f"{row['name']:<24} {row['since']} {row['until']}  {row['segments']} segments, {row['packets']:,} packets,"
            f" {row['bytes']:,} bytes"
        )
    return 0


def run_snapshot_delete(args: argparse.Namespace) -> int:
    gone = _open(args).delete_snapshot(args.name, recipients=args.recipient)
    if args.output == "json":
        print(json.dumps({"deleted": gone.name}))
    else:
        print(f"deleted snapshot {gone.name}: its segments stay until the next prune")
    return 0


def _snapshot_row(store: Store, snapshot: Any) -> dict[str, Any]:
    from kubeshark.pipeline import rfc3339

    kept = [info for info in store.segments() if snapshot.keeps(info)]
    return {
        "name": snapshot.name,
        "since": rfc3339(snapshot.since_ns),
        "until": rfc3339(snapshot.until_ns),
        "created": snapshot.created,
        "segments": len(kept),
        "packets": sum(info.packets for info in kept),
        "bytes": sum(info.stored_bytes for info in kept),
    }


def run_recover(args: argparse.Namespace) -> int:
    store = _open(args)
    problems: list[StoreError] = []
    if args.yes:
        found, problems = store.recover(recipients=args.recipient)
    else:
        found = store.leftovers()
    is_lossy = any(not leftover.is_whole for leftover in found)
    if args.output == "json":
        rows = [
            {"action": x.action, "name": x.name, "packets": x.packets, "whole": x.is_whole, "message": x.message}
            for x in found
        ]
        print(json.dumps({"found": rows, "done": args.yes, "problems": [str(problem) for problem in problems]}))
        return _complain_all(problems) or (3 if is_lossy else 0)
    for leftover in found:
        packets = f" ({leftover.packets:,} packets)" if leftover.packets else ""
        print(f"{leftover.action:<8} {printable(leftover.message)}{packets}")
    if not found:
        print("nothing was left behind")
    elif not args.yes and any(leftover.action not in ("lost", "locked", "swapped", "copy") for leftover in found):
        print('nothing was changed: "kubeshark store recover --yes" does it')
    return _complain_all(problems) or (3 if is_lossy else 0)
