"""`--tls-probe` and `--list-tls` of `capture`: clear text of processes that encrypt with libssl."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from kubeshark.cli._complain import printable

if TYPE_CHECKING:
    from kubeshark.core_capture.ebpf import TlsSource

__all__ = ["add_probe_options", "probes_of", "show_tls"]


def add_probe_options(parser: argparse.ArgumentParser) -> None:
    probes = parser.add_argument_group("TLS in the clear, off unless asked for: it reads the memory of other processes")
    probes.add_argument(
        "--tls-probe",
        action="append",
        default=[],
        metavar="WHOSE",
        help="what these send and receive by libssl: pid:N, name:PROGRAM, container:ID, pod:UID, all (repeat)",
    )
    probes.add_argument(
        "--list-tls",
        action="store_true",
        help="show the processes that use TLS, which can be read and why not, and end",
    )


def probes_of(args: argparse.Namespace) -> TlsSource | None:
    """Return the probes that were asked for. Raises UsageError, EbpfError."""
    if not args.tls_probe:
        return None
    from kubeshark.core_capture.ebpf import TlsSource
    from kubeshark.errors import UsageError

    if args.listen or args.connect or "-" in args.interface:
        raise UsageError("--tls-probe goes with interfaces of this machine", hint="leave --listen, --connect, -i - out")
    return TlsSource(args.tls_probe)


def show_tls(args: argparse.Namespace) -> int:
    """Print a line a process."""
    from kubeshark.core_capture.ebpf import tls_processes

    found = list(tls_processes())
    if args.output == "json":
        rows = [
            {
                "pid": each.pid,
                "name": each.name,
                "container": each.container,
                "library": each.library.name if each.library else "",
                "readable": each.library is not None,
                "reason": each.reason,
            }
            for each in found
        ]
        print(json.dumps(rows))
        return 0
    print(f"{'PID':>8}  {'PROGRAM':<15}  {'CONTAINER':<12}  CAN BE READ")
    for each in found:
        said = f"yes, {each.library.name}" if each.library else f"no: {each.reason}"
        print(f"{each.pid:>8}  {printable(each.name):<15}  {each.container[:12]:<12}  {printable(said)}")
    return 0
