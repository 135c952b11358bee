"""Pods that are chosen by name: their uids come from an API server where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.cli.options._probe_options import with_uids
from tests.cli._api_server import api_server
from tests.cli._command import kubeshark

UID = "1f2e3d4c-0000-4000-8000-123456789abc"
HASH = "0123456789abcdef0123456789abcdef"


def test_an_api_server_tells_the_uid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with api_server(tmp_path) as api:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
        pods = "/api/v1/namespaces/shop/pods"
        api.objects[f"{pods}/cart-0"] = {"metadata": {"name": "cart-0", "uid": UID}}
        api.objects[f"{pods}/etcd"] = {
            "metadata": {"name": "etcd", "uid": UID, "annotations": {"kubernetes.io/config.hash": HASH}}
        }
        choices = ["name:nginx", "pod:shop/cart-0", "pod:shop/etcd", "pod:shop/none", f"pod:{UID}"]
        assert with_uids(choices) == ["name:nginx", f"pod:{UID}", f"pod:{HASH}", "pod:shop/none", f"pod:{UID}"]
        api.status = 403
        assert with_uids(["pod:shop/cart-0"]) == ["pod:shop/cart-0"]


def test_without_one_the_name_stays_and_the_error_says_what_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert with_uids(["pod:shop/cart-0"]) == ["pod:shop/cart-0"]
    assert with_uids(["all"]) == ["all"]
    done = kubeshark("capture", "--tls-probe", "pod:shop/cart-0", "--store", tmp_path / "store", "--duration", "1s")
    assert done.stderr.count("\n") == 1
    assert done.returncode in (1, 2)  # 1: without the rights that probes take


def test_pods_are_named_by_a_hub_and_by_nobody_else(tmp_path: Path) -> None:
    done = kubeshark("capture", "--tls-probe", "pods", "--store", tmp_path / "store", "--duration", "1s")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--tls-probe pods is a worker's" in done.stderr
    recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    given = ("-i", "lo", "--recipient", recipient, "--store", tmp_path / "store", "--tls-probe", "pods")
    done = kubeshark("worker", *given)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no hub is asked: give --hub-selects" in done.stderr
    done = kubeshark("worker", *given, "--hub-selects", "--tls-probe", "all")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--tls-probe pods chooses processes by itself" in done.stderr
