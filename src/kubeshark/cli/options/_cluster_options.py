"""Options of the commands about a cluster. Each is a key of kubeshark.yaml, by Kubeshark's name where it has one."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kubeshark.cli.options._configured import configuration
from kubeshark.cli.terminal._complain import remark

if TYPE_CHECKING:
    from kubeshark.cluster import Cluster
    from kubeshark.settings import Loaded

__all__ = ["ClusterParser", "cluster_of", "settings_of"]

IGNORED = ("--telemetry-enabled", "--resource-guard-enabled", "--watchdogEnabled", "--license", "--pprof-enabled")


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


@dataclass(slots=True)
class ClusterParser:
    """Adds options to a parser, and remembers which key each is."""

    parser: argparse.ArgumentParser
    keys: dict[str, str] = field(default_factory=dict)  # dest → key

    def text(self, *names: str, key: str, summary: str, metavar: str = "TEXT") -> None:
        self._note(self.parser.add_argument(*names, metavar=metavar, help=f"{summary} [{key}]"), key)

    def number(self, *names: str, key: str, summary: str) -> None:
        self._note(self.parser.add_argument(*names, type=int, metavar="N", help=f"{summary} [{key}]"), key)

    def truth(self, *names: str, key: str, summary: str) -> None:
        """Add an option that may stand alone, or say =true or =false."""
        action = self.parser.add_argument(
            *names, nargs="?", type=_truth, const=True, metavar="true|false", help=f"{summary} [{key}]"
        )
        self._note(action, key)

    def texts(self, *names: str, key: str, summary: str, metavar: str) -> None:
        """Add an option for several texts: given again, or with commas between."""
        action = self.parser.add_argument(*names, action="append", metavar=metavar, help=f"{summary} [{key}]")
        self._note(action, key)

    def common(self) -> None:
        self.text(
            "-s",
            "--release-namespace",
            key="tap.release.namespace",
            summary="namespace of the deployment",
            metavar="NAME",
        )
        self.text("--kubeconfig", key="kube.configPath", summary="kubeconfig file", metavar="FILE")
        self.text("--context", key="kube.context", summary="context in it", metavar="NAME")

    def proxy(self) -> None:
        self.number("--proxy-front-port", key="tap.proxy.front.port", summary="local port")
        self.text("--proxy-host", key="tap.proxy.host", summary="local address", metavar="HOST")
        self.parser.add_argument("--no-browser", action="store_true", help="do not open the page")

    def ignored(self) -> None:
        """Take options of Kubeshark that mean nothing here."""
        for name in IGNORED:
            self.parser.add_argument(
                name, nargs="?", const="true", dest="ignored", action=_Ignored, help=argparse.SUPPRESS
            )

    def done(self, run: Any) -> None:
        self.parser.set_defaults(run=run, keys=self.keys)

    def _note(self, action: argparse.Action, key: str) -> None:
        self.keys[action.dest] = key


class _Ignored(argparse.Action):
    def __call__(self, _parser: Any, namespace: argparse.Namespace, _values: Any, option: str | None = None) -> None:
        if not getattr(namespace, "is_told", False):
            remark(f"note: {option} has no effect: there is no telemetry, licence or quota here")
            namespace.is_told = True


def settings_of(args: argparse.Namespace) -> Loaded:
    """Return the configuration with what the options say; --set wins over them."""
    from kubeshark.settings import load

    flags: dict[str, Any] = {}
    overrides = []
    for dest, key in args.keys.items():
        value = getattr(args, dest)
        if value is None:
            continue
        if isinstance(value, list):
            flags[key] = tuple(each for text in value for each in text.split(",") if each)
        elif isinstance(value, str):
            overrides.append(f"{key}={value}")  # read by the key's type
        else:
            flags[key] = value
    return load(configuration.path, overrides=[*overrides, *configuration.overrides], flags=flags)


def cluster_of(loaded: Loaded) -> Cluster:
    """Return the cluster that the configuration names."""
    from kubeshark.cluster import Cluster

    kube = loaded.settings.kube
    return Cluster.open(kube.config_path, kube.context)
