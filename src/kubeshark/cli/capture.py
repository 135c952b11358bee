"""kubeshark capture -i IFACE: packets of interfaces into an encrypted store, as they come."""

from __future__ import annotations

import argparse
import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kubeshark.cli._upload import add_upload_option, upload_url, uploading
from kubeshark.cli.options._amounts import parse_duration, parse_size
from kubeshark.cli.options._configured import add_configured
from kubeshark.cli.options._probe_options import add_probe_options, probes_of, show_tls
from kubeshark.cli.options._retention_options import add_retention_options, retention_of
from kubeshark.cli.options._store_option import add_recipient_option, add_store_option, store_path
from kubeshark.cli.terminal._complain import complain, printable, remark
from kubeshark.cli.terminal._progress import Progress, scaled

if TYPE_CHECKING:
    from kubeshark.core_capture.live import PacketSource
    from kubeshark.pipeline import CaptureProgress, CaptureResult
    from kubeshark.pipeline.intake._folder import FolderImport

__all__ = ["add_parser"]

DESCRIPTION = """Capture packets of interfaces into an encrypted store until Ctrl-C, SIGTERM or a limit. Only the
capability CAP_NET_RAW is needed, and given up once the interfaces are open. What was lost is said, and kept beside
the packets.
"""
EXAMPLES = """examples:
  kubeshark capture -i eth0
  kubeshark capture -i eth0 -i lo --filter "tcp port 443" --duration 60
  kubeshark capture -i any --packets 1000 --store ./store --output json
  kubeshark capture -i eth0 --max-bytes 20GB --max-age 7d
  kubeshark capture -i eth0 --max-bytes 20GB --upload s3://captures/lab
  kubeshark capture -i eth0 --cpu 0.5                  at most half a processor: segments are sealed when there is time
  kubeshark capture --list-interfaces
  kubeshark capture -i eth0 --tls-probe name:nginx     what nginx sends over TLS, in the clear, beside the wire
  ssh gateway tcpdump -U -w - not port 22 | kubeshark capture -i -
  kubeshark capture --listen 57012          and there: tcpdump -U -w - | nc this-machine 57012
"""
CLOCKS: dict[str, tuple[str, ...]] = {"all": ("--clock adapter",), "some": ("stamps PTP alone",), "none": ()}
"""What the list of interfaces says of network cards that stamp packets."""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sources = parser.add_argument_group("where packets come from")
    add_configured(
        sources,
        "-i",
        "--interface",
        key="capture.interfaces",
        action="append",
        default=[],
        metavar="IFACE",
        help='an interface (repeat), "any", or - for a pipe',
    )
    sources.add_argument(
        "--listen",
        metavar="[HOST:]PORT",
        help="take captures that others send over TCP (PCAP-over-IP), on this machine alone unless HOST says else",
    )
    sources.add_argument("--connect", metavar="HOST:PORT", help="take the capture that a server sends over TCP")
    sources.add_argument("-D", "--list-interfaces", action="store_true", help="show the interfaces there are, and end")
    add_probe_options(parser)
    packets = parser.add_argument_group("which packets")
    add_configured(
        packets,
        "-f",
        "--filter",
        key="tap.bpfOverride",
        default="",
        metavar="BPF",
        help='as tcpdump takes it, e.g. "port 53"',
    )
    add_configured(
        packets,
        "-s",
        "--snaplen",
        key="capture.snaplen",
        type=int,
        metavar="N",
        help="bytes kept of a packet (default: 262144)",
    )
    packets.add_argument(
        "-Q", "--direction", choices=("in", "out", "both"), default="both", help="as the interface sees it"
    )
    packets.add_argument(
        "--promiscuous",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also what is meant for other machines (default: yes; never on any)",
    )
    add_configured(
        packets,
        "--fanout",
        key="capture.fanout",
        read=lambda group: group or None,
        type=int,
        metavar="GROUP",
        help="a number: the captures with the same one share the packets, each connection goes to one of them",
    )
    packets.add_argument(
        "--clock",
        choices=("host", "adapter", "best"),
        default="host",
        help="whose time stamps: adapter takes those of the network card or ends, best those it can, and says which",
    )
    packets.add_argument(
        "--immediate",
        action="store_true",
        help="hand packets on within a millisecond, for more CPU; else the kernel gathers them for up to 50 ms",
    )
    limits = parser.add_argument_group("until when")
    limits.add_argument("--duration", type=parse_duration, metavar="S", help="seconds, or 90s, 5m, 1h")
    limits.add_argument("-c", "--packets", "--count", type=positive, metavar="N", help="end after so many packets")
    limits.add_argument("--bytes", "--size", type=positive_size, metavar="SIZE", help="end after so much, e.g. 500MB")
    add_retention_options(parser)
    parser.add_argument(
        "--cpu",
        type=parse_processors,
        default=0.0,
        metavar="N",
        help="processors it may use, 0.5 is half of one: sealing waits for its turn, capturing does not",
    )
    add_upload_option(parser)
    add_store_option(parser)
    add_recipient_option(parser)
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def parse_processors(text: str) -> float:
    """Read how many processors: 2, 0.5; 0 is no limit."""
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processors: write 1, or 0.5 for half of one")
    return float(text)


def positive(text: str) -> int:
    """Read a count of at least one."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of packets: write 1 or more")
    return int(text)


def positive_size(text: str) -> int:
    """Read a size of at least one byte."""
    size = parse_size(text)
    if not size:
        raise argparse.ArgumentTypeError(f"{text!r} is no size to end after: write 1 or more")
    return size


def run(args: argparse.Namespace) -> int:
    if args.list_interfaces:
        return show_interfaces(args)
    if args.list_tls:
        return show_tls(args)
    from kubeshark.pipeline import CaptureLimits, Pipeline, keep_freed_memory

    keep_freed_memory()
    if args.cpu:
        from kubeshark.core_capture.live import keep_to_processors

        keep_to_processors(args.cpu)
    store, archive = store_path(args), upload_url(args)
    source = open_source(args)
    try:
        with (
            Pipeline.open(store, recipients=args.recipient) as pipeline,
            uploading(store, archive) as begin_uploads,
            ending(source),
        ):
            remark(f"capturing on {source.name}: Ctrl-C ends it")
            with Progress(f"capturing on {printable(source.name)}") as progress:

                def show_progress(now: CaptureProgress) -> None:
                    begin_uploads()
                    progress.show(now.bytes, None, note(now))

                result = pipeline.capture(
                    source,
                    limits=CaptureLimits(args.duration, args.packets, args.bytes),
                    retention=retention_of(args),
                    cpu=args.cpu,
                    drops_privileges=True,
                    on_progress=show_progress,
                    on_notice=complain,
                )
    finally:
        source.close()
    return show(args, result)


def open_source(args: argparse.Namespace) -> PacketSource:
    """Return what the options say; raise UsageError, CaptureError."""
    from kubeshark.core_capture.live import (
        SNAPLEN,
        JoinedSource,
        LiveOptions,
        LiveSource,
        connect,
        listen,
        standard_input,
    )
    from kubeshark.errors import UsageError

    probes = probes_of(args)
    if probes and not args.interface and not args.listen and not args.connect:
        return probes
    if not args.interface and not args.listen and not args.connect:
        raise UsageError("capture needs an interface", hint='for example "-i eth0"; --list-interfaces shows them')
    if len(args.interface) + bool(args.listen) + bool(args.connect) > 1 and (
        args.listen or args.connect or "-" in args.interface
    ):
        raise UsageError("interfaces, -i -, --listen and --connect do not go together", hint="use one of them")
    if args.listen or args.connect or "-" in args.interface:
        if args.filter or args.fanout is not None or args.snaplen is not None:
            raise UsageError("packets that others capture cannot be filtered or cut here", hint="have the sender do it")
        if args.listen:
            return listen(args.listen)[0]
        return connect(args.connect) if args.connect else standard_input()
    options = LiveOptions(
        filter=args.filter,
        snaplen=SNAPLEN if args.snaplen is None else args.snaplen,
        promiscuous=args.promiscuous,
        direction=args.direction,
        fanout=args.fanout,
        clock=args.clock,
        is_immediate=args.immediate,
    )
    try:
        source = LiveSource(args.interface, options)
    except BaseException:
        if probes:
            probes.close()
        raise
    if probes is None:
        return source
    return JoinedSource([source, probes])


@contextmanager
def ending(source: PacketSource | FolderImport) -> Iterator[None]:
    """Let Ctrl-C and the usual signals end the capture in order; a second one ends the process."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(_number: int, _frame: object) -> None:
        restore()
        source.stop()

    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        restore()


def note(now: CaptureProgress) -> str:
    """What stands behind the bytes on the progress line."""
    troubles = [
        f"{count:,} {what}"
        for count, what in ((now.dropped, "dropped by the kernel"), (now.lost, "lost"), (now.filtered, "filtered"))
        if count
    ]
    return ", ".join([f"{scaled(now.stored)}packets", *troubles])


def show(args: argparse.Namespace, result: CaptureResult) -> int:
    """Print the totals; return the exit code."""
    for problem in result.problems:
        complain(problem)
    if args.output == "json":
        print(json.dumps(asdict(result)))
    else:
        print(
            f"captured {result.stored:,} packets, {result.bytes:,} bytes, {result.flows:,} flows"
            f" in {result.segments} segments; received {result.received:,}, dropped by the kernel {result.dropped:,},"
            f" filtered by plugins {result.filtered:,}, lost {result.lost:,}"
            + (f"; some {result.excluded:,} were left out by the filter" if result.excluded else "")
            + (f"; {result.truncated:,} were longer than is kept" if result.truncated else "")
        )
    return 3 if result.problems or result.damaged else 0


def show_interfaces(args: argparse.Namespace) -> int:
    from msgspec.structs import asdict as members

    from kubeshark.core_capture.live import list_interfaces

    found = list_interfaces()
    if args.output == "json":
        print(json.dumps([members(one) for one in found]))
        return 0
    for one in found:
        state = "up" if one.is_up else "down"
        stamps = CLOCKS[one.adapter_stamps]
        print(f"{one.name:<16} {state:<5} {' '.join((*one.addresses, *stamps))}".rstrip())
    return 0
