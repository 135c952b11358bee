from __future__ import annotations

import socket
from pathlib import Path

import pytest

from kubeshark.cli.survey import _cluster_facts
from kubeshark.cli.survey._cluster_facts import ClusterFacts, Pod, contexts, kubeconfig_path
from kubeshark.errors import UsageError
from tests.cli._api_server import CLASSES, NAMESPACES, PODS, api_server


def test_a_cluster_is_asked_once_for_each_list_in_pages(tmp_path: Path) -> None:
    with api_server(tmp_path) as api:
        facts = ClusterFacts("lab", str(api.kubeconfig))
        assert facts.namespaces() == sorted(NAMESPACES)
        assert facts.pods() == sorted(Pod(*each) for each in PODS)
        assert facts.pods()
        assert facts.storage_classes() == (sorted(name for name, _ in CLASSES), "fast")
        assert api.asked.count("/api/v1/pods") == 3  # 15 pods, 5 a page, and not again


def test_who_may_not_list_is_told_so(tmp_path: Path) -> None:
    with api_server(tmp_path) as api:
        api.status = 403
        with pytest.raises(UsageError, match="namespaces cannot be listed: the API server says 403 Forbidden"):
            ClusterFacts("lab", str(api.kubeconfig))
        with pytest.raises(UsageError, match=r"the cluster does not answer: .*refused"):
            ClusterFacts("gone", str(api.kubeconfig))
        with pytest.raises(UsageError, match="context 'none'"):
            ClusterFacts("none", str(api.kubeconfig))


def test_a_cluster_that_says_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cluster_facts, "ANSWER_S", 0.3)
    with api_server(tmp_path) as api, socket.create_server(("127.0.0.1", 0)) as silent:
        text = api.kubeconfig.read_text()
        api.kubeconfig.write_text(text.replace(f":{api.port}", f":{silent.getsockname()[1]}"))
        with pytest.raises(UsageError, match=r"the cluster does not answer: .*timed? ?out"):
            ClusterFacts("lab", str(api.kubeconfig))


def test_contexts_are_read_without_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert kubeconfig_path() is None and contexts() == ([], "")
    with api_server(tmp_path) as api:
        assert contexts(str(api.kubeconfig)) == (["lab", "gone"], "lab")
        monkeypatch.setenv("KUBECONFIG", f"{api.kubeconfig}:/other")
        assert kubeconfig_path() == api.kubeconfig
    (tmp_path / "odd").write_text("[]")
    assert contexts(str(tmp_path / "odd")) == ([], "")
