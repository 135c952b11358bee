"""One authority for all tests here; no login of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages._servers import (
    BASIC,
    PASSWORD,
    USER,
    Authority,
    RegistryServer,
    Site,
    make_authority,
    registry,
    site,
)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no index, no login that the user has."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "DOCKER_CONFIG", "KUBESHARK_PLUGIN_INDEX"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("", "_USER", "_PASSWORD"):
        monkeypatch.delenv(f"KUBESHARK_REGISTRY{name}", raising=False)


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The authority is one of the system's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    return authority


@pytest.fixture
def web_site(trusted: Authority) -> Iterator[Site]:
    with site(trusted) as found:
        yield found


@pytest.fixture(scope="module")
def basic_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A registry of this machine, without TLS, with a login."""
    with registry(tmp_path_factory.mktemp("registry"), auth=BASIC) as server:
        yield server


@pytest.fixture
def login(basic_registry: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_REGISTRY", basic_registry.host)
    monkeypatch.setenv("KUBESHARK_REGISTRY_USER", USER)
    monkeypatch.setenv("KUBESHARK_REGISTRY_PASSWORD", PASSWORD)


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The plugins folder."""
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "plugins"))
    return tmp_path / "plugins"
