"""kubeshark store info|verify|…: what a store holds, and whether it is whole; `_life.py` has what changes it."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

from kubeshark.cli._life import add_action, add_actions
from kubeshark.cli._name_actions import add_name_actions
from kubeshark.cli.options._store_option import store_path
from kubeshark.cli.terminal._complain import complain, printable
from kubeshark.cli.terminal._progress import Progress

if TYPE_CHECKING:
    from kubeshark.core_capture.store import Store

__all__ = ["add_parser"]

TABLES = ("list", "protocols", "captures", "snapshots", "logs")
PROTOCOLS_SHOWN = 12
TRANSPORTS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}

INFO = """Say what a store holds.

examples:
  kubeshark store info
  kubeshark store info --output json | jq .protocols
"""
VERIFY = """Authenticate every chunk of every file, and check that segments belong together and to whom they say: damage
is named by file and offset; segments that are forged, swapped or missing by the signed chains.

Exit code: 0 if all is well, 3 if anything is damaged, missing, swapped, forged or not known here.

examples:
  kubeshark store verify
  kubeshark store verify --trust 5f0c… --output json
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(name, help=summary, description="Look after a store.")
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    add_action(actions, "info", "segments, time range, flows, sizes, imports, leftovers", INFO, run_info)
    verify = add_action(actions, "verify", "authenticate every byte and name the exact damage", VERIFY, run_verify)
    verify.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="KEY",
        help="public key of a node (hex, repeat) beside this one's, and those that were there before it had one",
    )
    add_actions(actions)
    add_name_actions(actions)


def run_info(args: argparse.Namespace) -> int:
    from kubeshark.pipeline import Pipeline

    with Pipeline.open(store_path(args), create=False) as pipeline:
        info: dict[str, Any] = pipeline.info()
        overview, problems = _overview(pipeline.store)
        info |= overview | {"archive": _archive(pipeline.store), "problems": [*info["problems"], *problems]}
    del info["cache"]  # this process's: empty
    if args.output == "json":
        print(json.dumps(info))
        return 3 if info["problems"] else 0
    for key, value in info.items():
        if key not in TABLES and key != "archive":
            print(f"{key:<16} {', '.join(map(str, value)) if isinstance(value, list) else _readable(value)}")
    if (archive := info["archive"]) is not None:
        lost = f", {archive['lost']:,} deleted before" if archive["lost"] else ""
        left_out = f", {archive['left_out']:,} are of schedules without upload" if archive["left_out"] else ""
        print(f"{'archive':<16} {archive['uploaded']:,} segments uploaded, {archive['waiting']:,} wait{lost}{left_out}")
        print(f"{'':<16} {archive['url']}")
    for row in info["protocols"][:PROTOCOLS_SHOWN]:
        name = f"{row['transport']}/{row['port']}" if row["port"] else row["transport"]
        print(f"  {name:<36} {row['packets']:>10,} packets {row['flows']:>8,} flows {row['bytes']:>14,} bytes")
    if len(info["protocols"]) > PROTOCOLS_SHOWN:
        print(f"  and {len(info['protocols']) - PROTOCOLS_SHOWN:,} more ports")
    for row in info["captures"]:
        state = "complete" if row["complete"] else "incomplete"
        lost = "" if row["lost_packets"] is None else f", {row['lost_packets']:,} lost"
        print(
            f"  {printable(row['name']):<36} {row['packets']:>10,} packets in {row['segments']} segments, {state}{lost}"
        )
        if row["counters"]:
            print(f"    {', '.join(f'{count:,} {what}' for what, count in row['counters'].items())}")
    for row in info["logs"]:
        print(
            f"  {row['name']:<36} {row['packets']:>10,} packets not sealed, the last {row['age_s']:,} s ago"
            f"  {printable(row['source'])}"
        )
    for row in info["snapshots"]:
        print(f"  snapshot {row['name']:<27} {row['since']} to {row['until']}")
    for segment in info["list"]:
        print(
            f"  {segment['name']:<36} {segment['packets']:>10,} packets {segment['flows']:>8,} flows"
            f" {segment['bytes']:>14,} bytes  {printable(segment['source'])}"
        )
        if segment["scheduled"]:
            print(f"    {_scheduled(segment['scheduled'])}")
    return 3 if info["problems"] else 0


def _overview(store: Store) -> tuple[dict[str, Any], list[str]]:
    """Return what the indexes say beyond the totals, and what lies in the log, as JSON; and what cannot be read."""
    from msgspec.structs import asdict

    from kubeshark.pipeline import rfc3339

    overview = store.overview()
    now_ns = time.time_ns()
    return {
        "not_sealed": sum(log.packets for log in overview.logs),
        "log_problems": [str(problem) for problem in overview.log_problems],
        "logs": [
            {"name": log.name, "source": log.source, "packets": log.packets, "bytes": log.bytes}
            | {"first": rfc3339(log.first_ns), "last": rfc3339(log.last_ns)}
            | {"age_s": max(now_ns - log.last_ns, 0) // 1_000_000_000, "problems": list(log.problems)}
            for log in overview.logs
        ],
        "compression": overview.compression,
        "lost_packets": overview.lost_packets,
        "pruned": overview.pruned,
        "rotation": list(overview.rotation),
        "protocols": [
            {"transport": TRANSPORTS.get(p.transport, str(p.transport)), "port": p.port, "flows": p.flows}
            | {"packets": p.packets, "bytes": p.bytes}
            for p in overview.protocols
        ],
        "captures": [
            {"name": c.name, "sha256": c.sha256, "segments": c.segments, "packets": c.packets, "complete": c.complete}
            | {"first": rfc3339(c.first_ns), "last": rfc3339(c.last_ns), "lost_packets": c.lost_packets}
            | {"counters": asdict(c.counters) if c.counters else None}
            for c in overview.captures
        ],
        "snapshots": [
            {"name": s.name, "since": rfc3339(s.since_ns), "until": rfc3339(s.until_ns)} for s in overview.snapshots
        ],
    }, [str(problem) for problem in overview.problems]


def _archive(store: Store) -> dict[str, Any] | None:
    """Return what of a folder was uploaded, None if nobody does."""
    from kubeshark.core_capture.store import load_journal

    journal = None if store.files.is_remote else load_journal(store.files)
    if journal is None:
        return None
    counted = {name: getattr(journal, name) for name in ("url", "uploaded", "uploaded_bytes", "lost", "last_lost")}
    sealed = {info.name for info in store.segments() if not store.is_open(info.name)}
    return counted | {"waiting": len(sealed - journal.done - journal.left_out), "left_out": len(journal.left_out)}


def _scheduled(said: dict[str, Any]) -> str:
    """Return a line about the schedules of a segment."""
    until = f"kept until {said['kept_until'][:19]}Z" if said["kept_until"] else "kept as the store says"
    longer = ", or longer as the store says" if said["kept_until"] and said["or_longer"] else ""
    rest = "" if said["archived"] else ", not uploaded"
    return printable(f"of {', '.join(said['schedules'])}: {until}{longer}{rest}")


def _readable(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value or "-")


def run_verify(args: argparse.Namespace) -> int:
    from kubeshark.core_capture.store import open_store, trusted_nodes

    store = open_store(store_path(args))
    with Progress("verifying") as progress:
        report = store.verify([*args.trust, *trusted_nodes(store.location)], on_progress=progress.show)
    if args.output == "json":
        findings = [
            {"kind": finding.kind, "file": finding.file, "offset": finding.offset, "message": str(finding)}
            for finding in report.findings
        ]
        print(json.dumps({"segments": report.segments, "bytes": report.bytes, "findings": findings}))
    else:
        for finding in report.findings:
            complain(finding)
        if strangers := sorted({finding.stranger for finding in report.findings} - {""}):
            complain(f"if you know who signed it: {' '.join(f'--trust {key}' for key in strangers)}")
        sound = "every chunk is authentic" if report.is_sound else "NOT SOUND"
        print(f"{report.segments} segments, {report.bytes:,} bytes: {sound}")
    return 0 if report.is_sound else 3
