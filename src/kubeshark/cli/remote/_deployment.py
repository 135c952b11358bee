"""The hub that a command asks: one by URL, or that of a deployment through a port that is led there."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kubeshark.cli.options._cluster_options import ClusterParser, cluster_of
from kubeshark.cli.terminal._complain import complain

if TYPE_CHECKING:
    from kubeshark.cli.remote._hub_client import HubClient
    from kubeshark.settings import Loaded

__all__ = ["add_hub_options", "asked_hub", "is_remote"]


def add_hub_options(options: ClusterParser) -> None:
    """Add what makes a command about this machine one about a hub."""
    options.parser.add_argument(
        "--hub", metavar="URL", default="", help="of this hub, with $KUBESHARK_TOKEN; no cluster is asked"
    )
    options.common()


def is_remote(args: argparse.Namespace) -> bool:
    """Say whether an option names a hub or a deployment."""
    return bool(args.hub or any(getattr(args, dest) is not None for dest in args.keys))


@contextmanager
def asked_hub(url: str, loaded: Loaded) -> Iterator[HubClient]:
    """Give the hub at a URL, with the token of the environment; "": of the deployment that settings name."""
    from kubeshark.cli.remote._hub_client import HubClient

    if url:
        yield HubClient(url)
        return
    from kubeshark.cluster import Forward, ready_pod, token_of
    from kubeshark.cluster._names import FRONT_PORT

    cluster, release = cluster_of(loaded), loaded.settings.tap.release
    pod = ready_pod(cluster, release.namespace, release.name, "front")
    with Forward(cluster.api, release.namespace, pod, FRONT_PORT, host="127.0.0.1", port=0, log=complain) as forwarded:
        yield HubClient(forwarded.url, token_of(cluster, release.namespace))
