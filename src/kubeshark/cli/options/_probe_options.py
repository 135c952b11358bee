"""`--tls-probe` and `--list-tls` of `capture`: clear text of processes that encrypt with libssl."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kubeshark.cli.terminal._complain import printable

if TYPE_CHECKING:
    from kubeshark.core_capture.ebpf import TlsSource

__all__ = ["add_probe_options", "probes_of", "show_tls", "with_uids"]


def add_probe_options(parser: argparse.ArgumentParser) -> None:
    probes = parser.add_argument_group("TLS in the clear, off unless asked for: it reads the memory of other processes")
    probes.add_argument(
        "--tls-probe",
        action="append",
        default=[],
        metavar="WHOSE",
        help="what these send and receive by libssl: pid:N, name:PROGRAM, container:ID, pod:UID, pod:NAMESPACE/NAME,"
        " all (repeat)",
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

    if "pods" in args.tls_probe:
        raise UsageError("--tls-probe pods is a worker's: a hub names them", hint="write pod:NAMESPACE/NAME")
    if args.listen or args.connect or "-" in args.interface:
        raise UsageError("--tls-probe goes with interfaces of this machine", hint="leave --listen, --connect, -i - out")
    return TlsSource(with_uids(args.tls_probe))


def with_uids(choices: Sequence[str]) -> list[str]:
    """Return the choices with the uids of pods that are chosen by name, if this machine has their cluster at hand.

    The name stays: a kubelet's logs tell it here, too, and where a pod of that name begins anew. Without an API server
    that is all there is.
    """
    from kubeshark.core_capture.ebpf import pod_name, uids_of

    found: list[str] = []
    for choice in choices:
        named = pod_name(choice)
        uid = _uid_of(*named) if named and not uids_of(*named) else ""
        found.append(f"pod:{uid}" if uid else choice)
    return found


def _uid_of(namespace: str, name: str) -> str:
    """Ask the API server; "" if it knows no such pod, or cannot be asked."""
    from kubeshark.errors import KubesharkError

    try:
        from kubeshark.cluster import Cluster

        pod = Cluster.open().get("Pod", namespace, name)
    except (KubesharkError, ModuleNotFoundError):  # the image of a worker has no client of the API server
        return ""
    meta = pod["metadata"] if pod else {}
    # of a static pod the API server shows a mirror: the kubelet's own name of it is this hash
    return str((meta.get("annotations") or {}).get("kubernetes.io/config.hash") or meta.get("uid", ""))


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
