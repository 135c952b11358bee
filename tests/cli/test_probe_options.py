"""Pods that are chosen by name: their uids come from an API server where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.cli._probe_options import with_uids
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
