"""Credentials: from where Docker keeps them, and never shown."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from kubeshark.errors import UsageError
from kubeshark.packages._credentials import Credentials, find_credentials

SECRET = "correct horse"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("KUBESHARK_REGISTRY_USER", "KUBESHARK_REGISTRY_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def write(path: Path, config: dict[str, Any]) -> None:
    path.write_text(json.dumps(config))


AUTH = base64.b64encode(f"me:{SECRET}:x".encode()).decode()


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("ghcr.io", "ghcr.io"),
        ("ghcr.io", "https://ghcr.io/v2/"),
        ("localhost:5000", "localhost:5000"),
        ("docker.io", "https://index.docker.io/v1/"),
    ],
)
def test_logins_of_docker(host: str, key: str, docker: Path) -> None:
    write(docker, {"auths": {"other": {}, key: {"auth": AUTH}}})
    found = find_credentials(host)
    assert (found.user, found.password) == ("me", f"{SECRET}:x")
    assert SECRET not in repr(found)
    assert not find_credentials("evil.example")


def test_tokens_and_names(docker: Path) -> None:
    write(docker, {"auths": {"a": {"identitytoken": SECRET}, "b": {"username": "me", "password": SECRET}}})
    assert find_credentials("a").refresh_token == SECRET
    assert SECRET not in repr(find_credentials("a"))
    assert find_credentials("b") == Credentials("me", SECRET)


def test_helpers(docker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text('#!/bin/sh\nread host\necho "{\\"Username\\": \\"me\\", \\"Secret\\": \\"for $host\\"}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    write(docker, {"credsStore": "test", "credHelpers": {"own.example": "../../bin/sh", "gone.example": "none"}})
    for host in ("ghcr.io", "own.example", "gone.example"):
        assert find_credentials(host) == Credentials("me", f"for {host}")


def test_the_environment_comes_first(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker.write_text("{")
    with pytest.raises(UsageError, match="cannot be read") as caught:
        find_credentials("a")
    assert "{" not in str(caught.value)
    monkeypatch.setenv("KUBESHARK_REGISTRY_USER", "me")
    monkeypatch.setenv("KUBESHARK_REGISTRY_PASSWORD", SECRET)
    monkeypatch.setenv("KUBESHARK_REGISTRY", "a")
    assert find_credentials("a") == Credentials("me", SECRET)
    write(docker, {})
    assert not find_credentials("b")  # an index may name any host: it is told nothing


@pytest.mark.parametrize("config", [[], {"auths": []}, {"auths": {"a": 1}}, {"auths": {"a": {"auth": "%"}}}])
def test_odd_files_have_no_login(config: Any, docker: Path) -> None:
    docker.write_text(json.dumps(config))
    assert not find_credentials("a")
