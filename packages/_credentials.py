"""Who we are to a registry: from the environment, else from Docker's configuration.

    KUBESHARK_REGISTRY                           the host that the next two are for, and no other: an index may name any
    KUBESHARK_REGISTRY_USER, KUBESHARK_REGISTRY_PASSWORD
    $DOCKER_CONFIG/config.json, else ~/.docker/config.json       what `docker login` and `oras login` wrote, by host;
                                                                 credential helpers are asked as Docker asks them

A password is never part of a `repr`, an error or a command line.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubeshark.errors import UsageError

__all__ = ["Credentials", "find_credentials"]

HELPER_S = 30
_HELPER = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and a password, or a refresh token."""

    user: str = ""
    password: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.user or self.refresh_token)

    @property
    def basic(self) -> str:
        """The Authorization header of HTTP Basic (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def find_credentials(host: str) -> Credentials:
    """Return the credentials for a registry, empty ones if there are none; UsageError if the file is broken."""
    user = os.environ.get("KUBESHARK_REGISTRY_USER")
    if user and os.environ.get("KUBESHARK_REGISTRY") == host:
        return Credentials(user, os.environ.get("KUBESHARK_REGISTRY_PASSWORD", ""))
    path = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return Credentials()
    except (OSError, ValueError, RecursionError) as error:
        # Not the parser's own words: they may quote the file.
        raise UsageError(f"{path} cannot be read", hint="repair it, or log in again") from error
    names = ("https://index.docker.io/v1/", "index.docker.io", "docker.io") if host.endswith("docker.io") else (host,)
    for name in names:
        helper = _text(_table(config, "credHelpers"), name)
        if helper and (found := _ask(helper, name)):
            return found
        for key, entry in _table(config, "auths").items():
            host_of_key = key.removeprefix("https://").removeprefix("http://").split("/")[0]
            if name in (key, host_of_key) and (found := _read(entry)):
                return found
        if (store := _text(config, "credsStore")) and (found := _ask(store, name)):
            return found
    return Credentials()


def _read(entry: Any) -> Credentials | None:
    if not isinstance(entry, dict):
        return None
    if token := _text(entry, "identitytoken"):
        return Credentials(refresh_token=token)
    try:
        user, colon, password = base64.b64decode(_text(entry, "auth"), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    if colon and user:
        return Credentials(user, password.rstrip("\0"))
    return Credentials(_text(entry, "username"), _text(entry, "password")) or None


def _ask(helper: str, name: str) -> Credentials | None:
    """Ask `docker-credential-HELPER get`; None if it has nothing."""
    program = shutil.which(f"docker-credential-{helper}") if _HELPER.fullmatch(helper) else None
    if program is None:
        return None
    try:
        done = subprocess.run([program, "get"], input=name.encode(), capture_output=True, timeout=HELPER_S, check=False)
        answer = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, subprocess.TimeoutExpired, ValueError, RecursionError):
        return None
    user, secret = _text(answer, "Username"), _text(answer, "Secret")
    if user == "<token>":
        return Credentials(refresh_token=secret)
    return Credentials(user, secret) or None


def _table(value: Any, key: str) -> dict[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _text(value: Any, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
