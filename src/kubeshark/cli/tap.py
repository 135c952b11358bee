"""kubeshark tap: deploy to a cluster, and look at its traffic."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.cli.options._cluster_options import ClusterParser, cluster_of, settings_of
from kubeshark.cli.terminal._complain import complain, printable, remark

if TYPE_CHECKING:
    from kubeshark.cluster import Cluster, Target
    from kubeshark.settings import Settings

__all__ = ["add_parser"]

SHOWN_PODS = 20
EXAMPLES = """What is there already is left as it is: run it again after any change. "kubeshark clean" removes it all.

examples:
  kubeshark tap                                 every pod, and the page opens
  kubeshark tap '^(cart|stock)-' -n shop        pods by name, in one namespace
  kubeshark tap --dryRun -n shop                which pods that would be; nothing is made
  kubeshark tap '^cart-' -n shop --tls           also what these pods say over TLS by libssl, in the clear
  kubeshark tap -s kubeshark --wait 10m --set tap.resources.hub.limits.memory=8Gi
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    made = commands.add_parser(
        name,
        help=summary,
        description="Deploy hub, workers and web UI to a cluster, wait until they are ready, and open the page.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("regex", nargs="?", metavar="POD_REGEX", help="pods whose names contain it [tap.regex]")
    options = ClusterParser(made, {"regex": "tap.regex"})
    options.texts("-n", "--namespaces", key="tap.namespaces", summary="namespaces to capture in", metavar="A,B")
    options.texts(
        "-e", "--excludedNamespaces", key="tap.excludedNamespaces", summary="never capture in these", metavar="A,B"
    )
    options.common()
    options.text(
        "-r", "--docker-registry", key="tap.docker.registry", summary="registry of the images", metavar="HOST/PATH"
    )
    options.text("-t", "--docker-tag", key="tap.docker.tag", summary="their tag", metavar="TAG")
    options.text(
        "--docker-imagePullPolicy", key="tap.docker.imagePullPolicy", summary="when nodes pull", metavar="POLICY"
    )
    options.texts(
        "--docker-imagePullSecrets", key="tap.docker.imagePullSecrets", summary="Secrets to pull with", metavar="A,B"
    )
    options.truth("--persistentStorage", key="tap.persistentStorage", summary="keep captures on a volume claim")
    options.truth(
        "--persistentStorageStatic", key="tap.persistentStorageStatic", summary="the claims are there already"
    )
    options.text("--efsFileSytemIdAndPath", key="tap.efsFileSytemIdAndPath", summary="EFS volume", metavar="ID:PATH")
    options.text("--storageLimit", key="tap.storageLimit", summary="captures kept on a node", metavar="SIZE")
    options.text("--storageClass", key="tap.storageClass", summary="of the claims", metavar="NAME")
    options.truth("--serviceMesh", key="tap.serviceMesh", summary="capture what mesh proxies see")
    options.truth("--tls", key="tap.tls", summary="TLS in the clear, by probes in the chosen pods")
    options.truth("--ingress-enabled", key="tap.ingress.enabled", summary="make an Ingress")
    options.text("--release-helmChartPath", key="tap.release.helmChartPath", summary="a chart instead", metavar="PATH")
    options.text("--bpf", key="tap.bpfOverride", summary="capture only these packets", metavar="EXPR")
    options.texts("--recipient", key="store.recipients", summary="who may read", metavar="age1…")
    options.truth("--dryRun", key="tap.dryRun", summary="list the pods, and make nothing")
    options.proxy()
    made.add_argument("--wait", default="5m", metavar="TIME", help="for everything to be ready; 0: not; default: 5m")
    options.ignored()
    options.done(run)


def run(args: argparse.Namespace) -> int:
    from kubeshark.cluster import Deployment, manifests, materials, targets, wait_until_ready
    from kubeshark.cluster._wait import seconds_of
    from kubeshark.settings import base_path_of

    wait_s = seconds_of(args.wait)
    loaded = settings_of(args)
    _check(loaded.settings)
    cluster = cluster_of(loaded)
    pods = targets(cluster, loaded.settings)
    _show(pods)
    _note(loaded.settings, pods)
    if loaded.settings.tap.dry_run:
        print("nothing was made: --dryRun")
        return 0
    settings, identity = _readers(loaded.settings, cluster)
    release = settings.tap.release
    made = materials(cluster, release.namespace, identity)
    deployment = Deployment(cluster, release.name, release.namespace, _say)
    changed = deployment.apply(manifests(settings, made, _version()))
    print(f"{changed} objects changed in namespace {release.namespace} of {cluster.host}")
    if not wait_s:
        return 0
    wait_until_ready(cluster, release.namespace, release.name, wait_s, _say)
    if settings.tap.ingress.enabled:
        base = base_path_of(settings.tap.routing.front.base_path)
        print(f"the page is at https://{settings.tap.ingress.host}{f'{base}/' if base else settings.tap.ingress.path}")
        return 0
    if not sys.stdout.isatty():
        print('"kubeshark proxy" opens the page')
        return 0
    from kubeshark.cli.proxy import forward

    return forward(cluster, settings, opens=not (args.no_browser or settings.headless))


def _check(settings: Settings) -> None:
    """Raise UsageError for what cannot be deployed, or is a key and does nothing in this command."""
    from kubeshark.cli.checks._values import check_uploads
    from kubeshark.cluster import archive_of
    from kubeshark.core_capture.store import archive_url, parse_recipients
    from kubeshark.errors import UsageError

    parse_recipients(settings.store.recipients)
    if settings.tap.auth.enabled and settings.tap.auth.type == "oidc":
        from kubeshark.hub.access._oidc_settings import configured_oidc

        configured_oidc(settings.tap.auth, "")
    if archive := archive_of(settings):
        archive_url(archive, "any")
    check_uploads(settings)
    if settings.tap.release.helm_chart_path:
        raise UsageError(
            "tap.release.helmChartPath: a chart is installed by helm",
            hint=f"helm install {settings.tap.release.name} {settings.tap.release.helm_chart_path}",
        )
    if settings.tap.efs_file_sytem_id_and_path:
        raise UsageError(
            "tap.efsFileSytemIdAndPath: the volume is made by whoever runs the cluster",
            hint="make claims kubeshark-hub and kubeshark-captures on it, and use --persistentStorageStatic",
        )


def _note(settings: Settings, pods: list[Target]) -> None:
    """Say what is not captured though it was chosen, and what of the settings is not acted on."""
    from kubeshark.settings import Windows, base_path_of

    tap, schedules = settings.tap, settings.capture.schedules
    if tap.bpf_override:
        remark("note: tap.bpfOverride replaces the choice of pods: packets of all that pass it are kept")
    elif not pods:
        remark("note: nothing is captured until a pod matches")
    elif sharing := sum(pod.shares_node for pod in pods):
        remark(f"note: not captured, being in the network of their node: {sharing:,} of them; --bpf can be")
    if tap.service_mesh and not tap.tls:
        remark("note: tap.serviceMesh reads nothing by itself: tap.tls reads mesh proxies of chosen pods, too")
    if schedules:
        windows = Windows(schedules, settings.timezone)
        moment = windows.at(time.time())
        state = f"{', '.join(moment.names)} until" if moment.names else "nothing before"
        print(f"captured by schedules, now {state} {windows.said(moment.until)}")
        if windows.asks_for_archive:
            uploaded = ", ".join(each.name for each in schedules if each.upload)
            print(f"uploaded is what is captured while one of these has its time, and nothing else: {uploaded}")
    if tap.auth.enabled and tap.auth.type == "oidc":
        host, port = tap.proxy.host, tap.proxy.front.port
        base = base_path_of(tap.routing.front.base_path)
        page = f"https://{tap.ingress.host}" if tap.ingress.enabled else f"http://{host}:{port}"
        print(f"people sign in with {tap.auth.oidc.issuer}, which must know {page}{base}/auth/callback")


def _readers(settings: Settings, cluster: Cluster) -> tuple[Settings, bytes | None]:
    """Return the settings with who may read, and the identity for the hub; None: it is there, or nobody gives it."""
    import msgspec

    from kubeshark.cluster import has_identity
    from kubeshark.core_capture.store import create_identity, load_identities
    from kubeshark.errors import UsageError

    path = Path(settings.store.identity_file).expanduser()
    namespace = settings.tap.release.namespace
    if not path.exists() and not settings.store.recipients:
        complain(f"made the identity {path} for {create_identity(path).recipient}: whoever loses it loses the captures")
    if not path.exists():
        if not has_identity(cluster, namespace):
            raise UsageError(
                f"there is no identity at {path}, so the hub could not read what workers keep",
                hint=f"kubectl -n {namespace} create secret generic kubeshark-identity --from-file=identity.age=FILE",
            )
        return settings, None
    identities = load_identities(path)
    own = tuple(str(identity.recipient) for identity in identities)
    recipients = settings.store.recipients or own
    if not set(own) & set(recipients):
        raise UsageError(
            f"{path} cannot read what is captured for store.recipients", hint="add its recipient: kubeshark keys list"
        )
    text = "".join(f"{identity.secret()}\n" for identity in identities)
    chosen = msgspec.structs.replace(settings.store, recipients=recipients)
    return msgspec.structs.replace(settings, store=chosen), text.encode()


def _show(pods: list[Target]) -> None:
    for pod in pods[:SHOWN_PODS]:
        print(printable(f"{pod.namespace}/{pod.name}  {', '.join(pod.addresses) or 'no address yet'}  {pod.node}"))
    if len(pods) > SHOWN_PODS:
        print(f"and {len(pods) - SHOWN_PODS:,} more")
    print(f"{len(pods):,} pods match" if pods else "no pod matches now")


def _say(line: str) -> None:
    print(printable(line), flush=True)


def _version() -> str:
    from importlib.metadata import version

    return version("kubeshark")
