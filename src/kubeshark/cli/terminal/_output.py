"""How entries are printed: a table for people, JSON lines for programs, chosen KFL variables for both."""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kubeshark._json import json_text
from kubeshark.cli.terminal._complain import printable
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.pipeline import Entry
    from kubeshark.pipeline.query._runs import Run

__all__ = [
    "FieldsLine",
    "JsonLine",
    "TableLine",
    "add_output_options",
    "line_form",
    "parse_fields",
    "print_lines",
    "print_lists",
]

COLUMNS = (("TIME", 12), ("PROTO", 10), ("METHOD", 16), ("STATUS", 6), ("SOURCE", 21), ("DESTINATION", 21), ("MS", 8))
WHAT, ENDS, ELAPSED = (
    "".join(f"%-{size}.{size}s  " for _, size in columns) for columns in (COLUMNS[1:4], COLUMNS[4:6], COLUMNS[6:])
)
TABLE_READS = ("timestamp", "src.ip", "src.port", "dst.ip", "dst.port", "elapsed_time")


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


def line_form(
    args: argparse.Namespace, fields: Sequence[str] | None, *, with_file: bool = False
) -> tuple[str, Callable[[Entry], str]]:
    """Return the first line, "" for none, and what makes an entry's line: picklable, so that workers can do it."""
    output = args.output or ("table" if sys.stdout.isatty() or fields is None else "jsonl")
    names = None if fields is None else tuple(fields)
    if output == "jsonl":
        return "", JsonLine(names, with_file)
    if names is None:
        width = shutil.get_terminal_size((140, 24)).columns if sys.stdout.isatty() else 200
        return "  ".join(f"{name:<{size}}" for name, size in COLUMNS) + "  SUMMARY", TableLine(width)
    return "\t".join(names), FieldsLine(names)


def print_lines(header: str, lines: Iterable[str], *, at_once: bool = False) -> None:
    """Print them; `at_once`: each when it is there, also into a pipe."""
    if header:
        print(header, flush=at_once)
    for line in lines:
        print(line, flush=at_once)


def print_lists(header: str, lists: Iterable[Sequence[str]]) -> None:
    """Print lines that come many at once."""
    if header:
        print(header)
    for lines in lists:
        print("\n".join(lines))


@dataclass(frozen=True, slots=True)
class JsonLine:
    """An entry, or some of its variables, as a line of JSON."""

    fields: tuple[str, ...] | None
    with_file: bool = False

    def __call__(self, entry: Entry) -> str:
        if self.fields is None:
            document = entry.to_dict()
            if not self.with_file:
                document.pop("file", None)
        else:
            document = {"file": entry.facts.origin.file} if self.with_file else {}
            document |= {name: _shown(name, entry.get(name)) for name in self.fields}
        return _json(document)

    @property
    def reads(self) -> tuple[str, ...] | None:
        return None if self.with_file else self.fields

    def many(self, found: Run) -> Iterator[str]:
        """Return the lines of many entries: what columns know is read from them."""
        if self.fields is None or self.with_file:
            return map(self, found)
        from kubeshark.pipeline import columns

        names = self.fields
        rows = columns(found, names)
        return (_json({name: _shown(name, value) for name, value in zip(names, row, strict=True)}) for row in rows)


@dataclass(frozen=True, slots=True)
class FieldsLine:
    """Some variables of an entry, with tabs between them."""

    fields: tuple[str, ...]

    def __call__(self, entry: Entry) -> str:
        return "\t".join(printable(_text(_shown(name, entry.get(name)))) for name in self.fields)

    @property
    def reads(self) -> tuple[str, ...]:
        return self.fields

    def many(self, found: Run) -> Iterator[str]:
        from kubeshark.pipeline import columns

        return (
            "\t".join(printable(_text(_shown(name, value))) for name, value in zip(self.fields, row, strict=True))
            for row in columns(found, self.fields)
        )


@dataclass(frozen=True, slots=True)
class TableLine:
    """A row of the table. Cells from the network are cut and stripped of control characters."""

    width: int

    def __call__(self, entry: Entry) -> str:
        shown = entry.facts.origin.display.line(entry, is_wrong=entry.get("error"))
        return self._lines(*([entry.get(name)] for name in TABLE_READS), [shown])[0]

    @property
    def reads(self) -> tuple[str, ...]:
        from kubeshark.pipeline import LINE

        return (*TABLE_READS, LINE)

    def many(self, found: Run) -> Sequence[str]:
        """Return the lines of many entries: what columns know is read from them, and nothing dissected for it."""
        told = [found.column(name) for name in self.reads]
        found.pass_by()
        return self._lines(*told)

    def _lines(self, *told: Sequence[Any]) -> list[str]:
        """Return a line an entry, of which these are told, a column each: `reads`."""
        times, src_ips, src_ports, dst_ips, dst_ports, elapsed, shown = told
        protocols, said, methods, statuses, summaries = zip(*shown, strict=True)
        what = map(_what, protocols, map(str, methods), map(str, statuses))
        ends = map(_ends, src_ips, src_ports, dst_ips, dst_ports)
        failed = (f"  ! {wrong}" if wrong else "" for wrong in said)
        lines = (
            f"{_second(at // 10**9)}.{at // 10**6 % 1000:03d}  {asked}{between}{_ms(took)}{summary}{wrong}"
            for at, asked, between, took, summary, wrong in zip(
                times, what, ends, elapsed, summaries, failed, strict=True
            )
        )
        return [printable(line[: self.width]) for line in lines]


# Much is the same in many lines, and is looked up: the second, what was asked with what outcome, a connection's ends.


@lru_cache(maxsize=4096)
def _second(since_epoch: int) -> str:
    """Return the time of day, UTC."""
    second = since_epoch % 86_400
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


@lru_cache(maxsize=4096)
def _ms(elapsed_us: int) -> str:
    return ELAPSED % (f"{elapsed_us / 1e3:.1f}" if elapsed_us else "")


@lru_cache(maxsize=256)
def _what(protocol: str, method: str, status: str) -> str:
    return WHAT % (protocol, method, status)


@lru_cache(maxsize=4096)
def _ends(src_ip: str, src_port: int, dst_ip: str, dst_port: int) -> str:
    return ENDS % (_end(src_ip, src_port), _end(dst_ip, dst_port))


def _json(document: Mapping[str, Any]) -> str:
    """Return a line of JSON. msgspec takes a third of the time, but no lone surrogate and no integer over 64 bits."""
    import msgspec

    try:
        return msgspec.json.encode(document).decode()
    except (UnicodeEncodeError, OverflowError):
        return json_text(document)


def _shown(name: str, value: Any) -> Any:
    """Return a variable's value as JSON can hold it."""
    if name == "timestamp":
        from kubeshark.pipeline import rfc3339

        return rfc3339(value)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _end(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
