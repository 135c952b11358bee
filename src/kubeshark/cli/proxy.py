"""kubeshark proxy: open the page of a running deployment."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from kubeshark.cli.options._cluster_options import ClusterParser, cluster_of, settings_of
from kubeshark.cli.terminal._complain import complain

if TYPE_CHECKING:
    from kubeshark.cluster import Cluster
    from kubeshark.settings import Settings

__all__ = ["add_parser", "forward"]


def add_parser(commands: Any, name: str, summary: str) -> None:
    made = commands.add_parser(
        name, help=summary, description="Lead a port of this machine to a deployment until Ctrl-C, and open its page."
    )
    options = ClusterParser(made)
    options.common()
    options.proxy()
    options.done(run)


def run(args: argparse.Namespace) -> int:
    loaded = settings_of(args)
    return forward(cluster_of(loaded), loaded.settings, opens=not (args.no_browser or loaded.settings.headless))


def forward(cluster: Cluster, settings: Settings, *, opens: bool) -> int:
    """Lead the port until Ctrl-C."""
    from kubeshark.cli.serve import open_page
    from kubeshark.cluster import Forward, ready_pod, token_of
    from kubeshark.cluster._names import FRONT_PORT
    from kubeshark.settings import base_path_of

    release, proxy = settings.tap.release, settings.tap.proxy
    pod = ready_pod(cluster, release.namespace, release.name, "front")
    token = token_of(cluster, release.namespace)
    with Forward(
        cluster.api, release.namespace, pod, FRONT_PORT, host=proxy.host, port=proxy.front.port, log=complain
    ) as forwarded:
        url = f"{forwarded.url}{base_path_of(settings.tap.routing.front.base_path)}/" + (
            f"?token={token}" if token else ""
        )
        print(f"the page is at {url} until Ctrl-C", flush=True)
        if opens and sys.stdout.isatty():
            open_page(url)
        forwarded.wait()
    return 0
