"""Which hub a command is about."""

from __future__ import annotations

import argparse

import pytest

from kubeshark.cli.options._cluster_options import ClusterParser
from kubeshark.cli.remote._deployment import add_hub_options, asked_hub, is_remote
from kubeshark.cli.remote._hub_client import HubClient
from kubeshark.errors import ClusterError
from kubeshark.settings import load


def parsed(*words: str) -> argparse.Namespace:
    options = ClusterParser(argparse.ArgumentParser())
    add_hub_options(options)
    options.done(print)
    return options.parser.parse_args(words)


def test_this_machine_unless_a_hub_or_a_deployment_is_named() -> None:
    assert not is_remote(parsed())
    for words in (("--hub", "http://x:1"), ("-s", "kubeshark"), ("--context", "lab"), ("--kubeconfig", "f")):
        assert is_remote(parsed(*words))


def test_a_hub_by_url_asks_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_TOKEN", "t" * 32)
    with asked_hub("http://127.0.0.1:8899", load(None, {}, ("kube.configPath=/absent",))) as hub:
        assert isinstance(hub, HubClient)


def test_a_deployment_needs_a_cluster() -> None:
    with (
        pytest.raises(ClusterError, match="there is no /absent"),
        asked_hub("", load(None, {}, ("kube.configPath=/absent",))),
    ):
        pass
