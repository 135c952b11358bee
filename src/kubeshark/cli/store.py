"""kubeshark store info|verify|…: what a store holds, and whether it is whole; `_life.py` has what changes it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from kubeshark.cli._life import add_actions
from kubeshark.cli._output import complain, printable
from kubeshark.cli._store_option import add_store_option, store_path

__all__ = ["add_parser"]


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(name, help=summary, description="Look after a store.")
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    for action, text, function in (
        ("info", "segments, time range, flows, sizes, imports, leftovers", run_info),
        ("verify", "authenticate every byte and name the exact damage", run_verify),
    ):
        sub = actions.add_parser(action, help=text, description=text.capitalize() + ".")
        add_store_option(sub)
        sub.add_argument("--output", choices=("text", "json"), default="text")
        sub.set_defaults(run=function)
    add_actions(actions)


def run_info(args: argparse.Namespace) -> int:
    from kubeshark.pipeline import Pipeline

    with Pipeline.open(store_path(args), create=False) as pipeline:
        info = pipeline.info()
    if args.output == "json":
        print(json.dumps(info))
        return 0
    for key, value in info.items():
        if key != "list":
            print(f"{key:<16} {', '.join(map(str, value)) if isinstance(value, list) else _readable(value)}")
    for segment in info["list"]:
        print(
            f"  {segment['name']:<36} {segment['packets']:>10,} packets {segment['flows']:>8,} flows"
            f" {segment['bytes']:>14,} bytes  {printable(segment['source'])}"
        )
    return 3 if info["problems"] else 0


def _readable(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value or "-")


def run_verify(args: argparse.Namespace) -> int:
    from kubeshark.pipeline import Pipeline

    with Pipeline.open(store_path(args), create=False) as pipeline:
        report = pipeline.verify()
    if args.output == "json":
        findings = [{"kind": finding.kind, "message": str(finding)} for finding in report.findings]
        print(json.dumps({"segments": report.segments, "bytes": report.bytes, "findings": findings}))
    else:
        for finding in report.findings:
            complain(finding)
        sound = "every chunk is authentic" if report.is_sound else "NOT SOUND"
        print(f"{report.segments} segments, {report.bytes:,} bytes: {sound}")
    return 0 if report.is_sound else 1
