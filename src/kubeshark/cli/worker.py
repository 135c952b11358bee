"""kubeshark worker: the agent of one node, which keeps packets it cannot read and hands them to the hub."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from kubeshark.cli._upload import add_upload_option, upload_url
from kubeshark.cli.options._configured import add_configured, configuration
from kubeshark.cli.options._probe_options import with_uids
from kubeshark.cli.options._retention_options import add_retention_options, retention_of
from kubeshark.cli.options._schedules import archive_for, schedules
from kubeshark.cli.options._store_option import add_recipient_option, add_store_option, store_path
from kubeshark.cli.options._tls_option import add_tls_options, tls_files
from kubeshark.cli.terminal._complain import complain
from kubeshark.errors import UsageError

__all__ = ["add_parser"]

EXAMPLES = """The worker holds public keys only: it cannot read what it stores. A hub that has the identity asks it for
byte ranges over mutual TLS.

examples:
  kubeshark worker init-tls --out pki node-1 node-2,10.0.0.2     certificates, made where they stay
  kubeshark worker -i eth0 --recipient age1… --store /var/lib/kubeshark --tls pki/node-1 --listen 0.0.0.0:8898
  kubeshark worker -i eth0 --recipient age1… --max-bytes 20GB --upload s3://captures/lab --tls pki/node-1
  kubeshark worker -i any --hub-selects --tls-probe pods --recipient age1… --tls pki/node-1      what tap.tls starts
  kubeshark serve --worker https://node-1:8898 --worker https://node-2:8898 --tls pki/hub
  kubeshark query http --store https://node-1:8898               with KUBESHARK_TLS=pki/hub
"""

INIT_TLS = """Make an authority, a certificate for the hub, and one for each worker HOST: a name or address under which
the hub reaches it, several with commas between. Each lies in a folder of its own with the names that Kubernetes and
cert-manager use: tls.crt, tls.key, ca.crt. Nothing is replaced: more workers can be added later.

The folder "authority" is what can make more of them: keep it off the nodes.
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_store_option(parser)
    add_configured(
        parser,
        "-i",
        "--interface",
        key="capture.interfaces",
        action="append",
        default=[],
        metavar="IFACE",
        help='capture from it (repeat), or "any"',
    )
    add_configured(
        parser,
        "-f",
        "--filter",
        key="tap.bpfOverride",
        default="",
        metavar="BPF",
        help='of what is captured, e.g. "port 53"',
    )
    add_recipient_option(parser, "who may read what is captured")
    add_configured(
        parser,
        "--segment-seconds",
        key="store.segmentSeconds",
        read=lambda duration: duration.seconds,
        type=float,
        default=300,
        metavar="S",
        help="seal a segment after so long; default: 300",
    )
    parser.add_argument(
        "--tls-probe",
        action="append",
        default=[],
        metavar="WHOSE",
        help="also TLS in the clear of processes that use libssl: name:PROGRAM, container:ID, pod:UID,"
        " pod:NAMESPACE/NAME, all (repeat); or pods: of those that a hub names, with --hub-selects",
    )
    parser.add_argument(
        "--hub-selects",
        action="store_true",
        help="capture packets of the pods that a hub names (serve --kube), and none before it does",
    )
    add_retention_options(parser)
    add_upload_option(parser)
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:8898", help="default: 127.0.0.1:8898")
    parser.add_argument("--node", metavar="NAME", default="", help="default: this machine's name")
    add_tls_options(parser)
    parser.add_argument(
        "--allow",
        action="append",
        metavar="NAME",
        help="a DNS name or URI that a hub's certificate has; default: kubeshark-hub",
    )
    parser.add_argument(
        "--memory-mb",
        type=int,
        default=0,
        metavar="MB",
        help="of each of its processes: above it nothing is served; a capture's memory is made to fit",
    )
    parser.add_argument(
        "--cpu",
        type=float,
        default=0.0,
        metavar="N",
        help="processors each may use, 0.5 is half of one: above it nothing is served, and sealing waits",
    )
    parser.add_argument(
        "--firewall",
        metavar="DIR",
        type=Path,
        help="enforce policies of hubs on this node; keep them in this folder [firewall.enabled, firewall.path]",
    )
    add_configured(
        parser,
        "--fail-mode",
        key="firewall.failMode",
        choices=("open", "closed"),
        default="open",
        help="what a killed worker leaves of them",
    )
    add_configured(
        parser,
        "--allow-firewall",
        key="firewall.hubs",
        action="append",
        default=[],
        metavar="NAME",
        help="only hubs of this name may say what is enforced; default: those of --allow",
    )
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(metavar="[init-tls]")
    made = actions.add_parser(
        "init-tls",
        help="make certificates for a cluster",
        description=INIT_TLS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("hosts", nargs="*", metavar="HOST")
    made.add_argument("--out", required=True, metavar="DIR")
    made.add_argument("--hub", default="kubeshark-hub", metavar="NAME", help="default: kubeshark-hub")
    made.add_argument("--days", type=int, default=825, metavar="N", help="how long they are good; default: 825")
    made.set_defaults(run=run_init_tls)


def run(args: argparse.Namespace) -> int:
    from kubeshark.core_capture.store import default_node, parse_recipients
    from kubeshark.worker import WorkerOptions, run_worker

    store = store_path(args)
    if isinstance(store, str):
        raise UsageError(f"a worker keeps its store on its node, not at {store}", hint="give a folder")
    host, port = parse_address(args.listen)
    if args.memory_mb < 0 or args.cpu < 0:
        raise UsageError("limits are not below 0")
    if args.interface and not args.recipient:
        hint = 'give --recipient age1…: "kubeshark keys list" shows it where the identity is'
        raise UsageError("a worker holds no identity, so it must be told who may read", hint=hint)
    if not 1 <= args.segment_seconds <= 86_400:
        raise UsageError("--segment-seconds is from 1 to 86400")
    if "pods" in args.tls_probe and len(args.tls_probe) > 1:
        raise UsageError("--tls-probe pods chooses processes by itself", hint="leave the other --tls-probe out")
    if "pods" in args.tls_probe and not args.hub_selects:
        raise UsageError(
            "--tls-probe pods reads processes of pods that a hub names, and no hub is asked",
            hint="give --hub-selects",
        )
    parse_recipients(args.recipient)
    windows = schedules()
    options = WorkerOptions(
        store=store,
        node=args.node or default_node(),
        host=host,
        port=port,
        tls=tls_files(args),
        allowed=args.allow or ["kubeshark-hub"],
        memory_bytes=args.memory_mb << 20,
        cpu=args.cpu,
        interfaces=args.interface,
        bpf=args.filter,
        probes=with_uids(args.tls_probe),
        recipients=args.recipient,
        segment_seconds=args.segment_seconds,
        retention=retention_of(args),
        firewall=firewall_folder(args),
        fail_mode=args.fail_mode,
        enforcers=args.allow_firewall,
        upload=archive_for(windows if args.interface else None, upload_url(args)),
        selects=args.hub_selects,
        schedules=windows,
    )
    run_worker(
        options, announce=lambda url: print(f"worker {options.node} serves {store} at {url}", flush=True), log=complain
    )
    return 0


def firewall_folder(args: argparse.Namespace) -> Path | None:
    """Return where what is enforced is kept; None: nothing is."""
    if args.firewall is not None or not configuration.value("firewall.enabled"):
        folder: Path | None = args.firewall
        return folder
    return Path(configuration.value("firewall.path") or "~/.kubeshark/firewall").expanduser()


def run_init_tls(args: argparse.Namespace) -> int:
    from kubeshark._certificates import issue

    if args.days < 1:
        raise UsageError("--days is at least 1")
    made = issue(Path(args.out), args.hosts, hub=args.hub, days=args.days)
    for folder in made:
        print(folder)
    if not made:
        complain(f"{args.out} has an authority and a hub's certificate already: name the hosts of workers")
    return 0


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT or [ADDRESS]:PORT."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+)):(\d{1,5})", text)
    if found is None or int(found[3]) > 65_535:
        raise UsageError(f"{text!r} is no address to listen on", hint="write HOST:PORT")
    return found[1] or found[2], int(found[3])
