"""A hub as commands ask it: its refusals become errors with the right exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.cli.remote._hub_client import HubClient
from kubeshark.errors import KubesharkError, UsageError
from tests.hub._serving import serving


def test_refusals(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path / "store", root, tmp_path) as hub:
        url = f"http://{hub.address}:{hub.port}"
        monkeypatch.setenv("KUBESHARK_TOKEN", hub.token)
        client = HubClient(url)
        assert client.ask("GET", "/api/v1/firewall/policies") == []
        with pytest.raises(UsageError, match="there is no policy x"):
            client.ask("GET", "/api/v1/firewall/policies/x")
        monkeypatch.setenv("KUBESHARK_TOKEN", "wrong")
        with pytest.raises(KubesharkError):
            HubClient(url).ask("GET", "/api/v1/firewall/policies")
        with pytest.raises(KubesharkError, match="refuses"):
            HubClient(url).socket("/api/v1/firewall/events")
    with pytest.raises(KubesharkError, match="does not answer"):
        client.ask("GET", "/")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8899", "ftp://h", "http://", "http://h/../x", "http://h?x=1"])
def test_what_is_no_hub(url: str) -> None:
    with pytest.raises(UsageError, match="no hub"):
        HubClient(url)
