"""How entries are printed: a table for people, JSON lines for programs, chosen KFL variables for both."""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.pipeline import Entry

__all__ = ["add_output_options", "complain", "parse_fields", "print_entries", "printable"]

COLUMNS = (("TIME", 12), ("PROTO", 10), ("METHOD", 10), ("STATUS", 6), ("SOURCE", 21), ("DESTINATION", 21), ("MS", 8))


def add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", choices=("table", "jsonl"), default=None, help="default: table on a terminal")
    parser.add_argument(
        "--fields", metavar="A,B,…", help="only these KFL variables, e.g. timestamp,src.ip,method,url,status_code"
    )
    parser.add_argument("--limit", type=_positive, metavar="N", help="stop after N entries")


def _positive(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def parse_fields(text: str | None, known: Mapping[str, Any]) -> list[str] | None:
    """Return the variables named in --fields; an unknown one is wrong usage."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        import difflib

        near = difflib.get_close_matches(unknown[0], known, 1) if unknown else []
        wrong = f"unknown variable {unknown[0]!r} in --fields" if unknown else "--fields names no variable"
        raise UsageError(wrong, hint=f"did you mean {near[0]!r}?" if near else 'see "KFL variables" in the docs')
    return names


def print_entries(
    entries: Iterable[Entry], args: argparse.Namespace, fields: Sequence[str] | None, *, with_file: bool = False
) -> None:
    """Print entries as they come."""
    output = args.output or ("table" if sys.stdout.isatty() or fields is None else "jsonl")
    if output == "jsonl":
        for entry in entries:
            print(_json_line(entry, fields, with_file))
    elif fields is None:
        _print_rows(entries)
    else:
        print("\t".join(fields))
        for entry in entries:
            print("\t".join(printable(_text(_value(entry, name))) for name in fields))


def _json_line(entry: Entry, fields: Sequence[str] | None, with_file: bool) -> str:
    if fields is None:
        document = entry.to_dict()
        if not with_file:
            document.pop("file", None)
    else:
        document = {"file": entry.facts.origin.file} if with_file else {}
        document |= {name: _value(entry, name) for name in fields}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _value(entry: Entry, name: str) -> Any:
    value = entry.get(name)
    if name == "timestamp":
        from kubeshark.pipeline import rfc3339

        return rfc3339(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_rows(entries: Iterable[Entry]) -> None:
    """One line an entry. Cells from the network are cut and stripped of control characters."""
    width = shutil.get_terminal_size((140, 24)).columns if sys.stdout.isatty() else 200
    print("  ".join(f"{name:<{size}}" for name, size in COLUMNS) + "  SUMMARY")
    for entry in entries:
        row = entry.row()
        clock = str(_value(entry, "timestamp"))[11:23]
        failed = f"  ! {entry.error.message}" if entry.error else ""
        elapsed = f"{entry.elapsed_ns / 1e6:.1f}" if entry.elapsed_ns else ""
        cells = (clock, row["proto"]["abbr"], row["method"], row["status"], _end(entry.src), _end(entry.dst), elapsed)
        line = "  ".join(
            f"{printable(str(cell))[:size]:<{size}}" for cell, (_, size) in zip(cells, COLUMNS, strict=True)
        )
        print(f"{line}  {printable(str(row['summary']))}{printable(failed)}"[:width])


def _end(endpoint: Any) -> str:
    ip = f"[{endpoint.ip}]" if ":" in endpoint.ip else endpoint.ip
    return f"{ip}:{endpoint.port}"


def complain(problem: object) -> None:
    """Say on standard error, in one line, what was not done: names and texts in it may come from outside."""
    print(f"kubeshark: {printable(' '.join(str(problem).splitlines()))}", file=sys.stderr)


def printable(text: str) -> str:
    """Replace control characters: text from the network must not steer the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
