"""Runs the application on this machine until Ctrl-C."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Self

import uvicorn

from kubeshark.errors import StoreError, UsageError
from kubeshark.hub._app import create_app
from kubeshark.hub.gate._gate import new_token
from kubeshark.hub.nodes._discovery import Discovery
from kubeshark.hub.nodes._kube import KubeWatch
from kubeshark.hub.nodes._pods import ChosenPods
from kubeshark.hub.nodes._policy_objects import PolicyObjects
from kubeshark.hub.nodes._selecting import Selecting
from kubeshark.hub.state._hub import Hub
from kubeshark.pipeline import Pipeline
from kubeshark.pipeline.enrichment._rules import DEFAULT_RULES, RedactionRule
from kubeshark.pipeline.plugins._scheduler import Scheduler

if TYPE_CHECKING:
    from kubeshark.cluster import Cluster, PodChoice
    from kubeshark.firewall.policies._policy import Mode
    from kubeshark.firewall.rules._rules import Network
    from kubeshark.hub.access._oidc_settings import OidcSettings
    from kubeshark.pipeline.scripts import ServedScripts

__all__ = ["serve"]

MAX_WEBSOCKET_MESSAGE = 64 << 10
WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 - recognised, not bound by default


def serve(
    pipeline: Pipeline,
    *,
    rules: Sequence[RedactionRule] = DEFAULT_RULES,
    host: str,
    port: int,
    insecure: bool,
    announce: Callable[[str], None],
    log: Callable[[str], None] = lambda _: None,
    oidc: OidcSettings | None = None,
    public_host: str = "",
    base: str = "",
    token: str = "",
    workers_of: str = "",
    inventory: Path | None = None,
    cluster: Cluster | None = None,
    cluster_policies: bool = False,
    exempt: tuple[Network, ...] = (),
    default_mode: Mode = "Audit",
    pod_choice: PodChoice | None = None,
    scripts: ServedScripts | None = None,
    global_filter: str = "",
    is_read_only: bool = False,
) -> None:
    """Serve a pipeline, and run its plugins' jobs by their schedules; `log` hears what they log.

    `rules`: of redaction, unless the hub's settings say others. `global_filter`: KFL that all that is seen matches.
    `announce` gets the URL with the token once the port is open. `oidc`: people sign in with an identity provider.
    `inventory`: a file that says who has which address; it is read again whenever it is replaced.
    `exempt`: addresses that no firewall policy judges. `default_mode`: of policies that say none.
    `cluster`: is watched for names, and for who has which address; with `cluster_policies` for FirewallPolicy, too.
    `pod_choice`: which of its pods are captured by workers that leave that to a hub.
    `public_host` is the name under which a proxy serves this hub by HTTPS; by no other is it then known.
    `base`: the path below which it does.
    `scripts`: that run beside it. `is_read_only`: nobody may change anything.
    `token`: this one, not a new one. `workers_of`: NAME:PORT, every address of which is a worker.

    Raise UsageError for an address that others can reach unless `insecure`: there is no TLS yet.
    """
    if not _is_loopback(host) and not insecure:
        raise UsageError(
            f"{host} can be reached by others and there is no TLS", hint="use 127.0.0.1, or --insecure if you mean it"
        )
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # before the URL is announced: whoever reads it may connect at once
    except OSError as error:
        listener.close()
        raise StoreError(f"cannot serve on {host} port {port}: {error.strerror}", hint="try --port 0") from error
    bound_port = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    names = {shown, "localhost"} if _is_loopback(host) else {shown, socket.gethostname()}
    hosts = None if host in WILDCARDS else frozenset(f"{name}:{bound_port}" for name in names)
    query = "" if token else f"?token={(token := new_token())}"  # one that others gave is not for a log
    if public_host:
        hosts = frozenset({public_host})
    app = create_app(
        pipeline,
        token=token,
        hosts=hosts,
        rules=rules,
        oidc=oidc,
        tls=bool(public_host),
        base=base,
        global_filter=global_filter,
        is_read_only=is_read_only,
    )
    app.hub.scripts = scripts
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        ws="websockets-sansio",
        ws_max_size=MAX_WEBSOCKET_MESSAGE,
        ws_per_message_deflate=False,  # columns are small, and a laptop's loopback is faster than zlib
    )
    app.hub.fleet.store.default_mode = default_mode
    app.hub.fleet.exempt = exempt
    app.hub.fleet.set_inventory(app.hub.fleet.inventory)
    if inventory is not None:
        app.hub.fleet.watch_inventory(inventory)
    with ExitStack() as stack:
        running: list[AbstractContextManager[object]] = [
            Jobs(app.hub, log),
            app.hub.workers,
            app.hub.fleet,
            Discovery(app.hub.workers, workers_of, log),
        ]
        if cluster is not None:  # made before the fleet speaks: workers are told nothing before these know
            pods = ChosenPods(pod_choice) if pod_choice else None
            kube = app.hub.kube = KubeWatch(cluster, pipeline.store, app.hub.fleet, log, pods)
            if pods is not None:
                running.append(Selecting(pods, app.hub.workers.addresses, lambda: kube.states()["Pod"], log))
            running.append(kube)
            if cluster_policies:
                running.append(PolicyObjects(cluster, app.hub.fleet, app.hub.audit, log))
        for each in running:
            stack.enter_context(each)
        announce(
            f"https://{public_host}{base}/{query}" if public_host else f"http://{shown}:{bound_port}{base}/{query}"
        )
        _Server(config, app.hub).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends what is asked for when it is told to end itself: a sum would go on until it is whole."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._hub.is_ending = True
        super().handle_exit(sig, frame)


class Jobs:
    """The scheduler of the hub's plugins; another one where other plugins are used. A context manager."""

    def __init__(self, hub: Hub, log: Callable[[str], None]) -> None:
        self._hub = hub
        self._log = log
        hub.on_reload = self._begin_again

    def __enter__(self) -> Self:
        self._begin_again()
        return self

    def __exit__(self, *_: object) -> None:
        self._hub.on_reload = None
        self._end()

    def _begin_again(self) -> None:
        self._end()
        plugins = self._hub.pipeline.plugins
        self._hub.scheduler = Scheduler(plugins.jobs, self._log, take_log=plugins.take_log)
        self._hub.scheduler.__enter__()

    def _end(self) -> None:
        if self._hub.scheduler is not None:
            self._hub.scheduler.__exit__(None, None, None)
            self._hub.scheduler = None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
