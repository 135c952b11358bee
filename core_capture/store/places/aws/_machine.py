"""Keys that a container or an instance of EC2 has, to assume a role by (credential_source).

For requests themselves obstore asks both by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from kubeshark.core_capture.store.places.aws._http import exchange
from kubeshark.core_capture.store.places.aws._keys import AwsKeys, keys_of
from kubeshark.errors import StoreError

__all__ = ["keys_of_container", "keys_of_instance"]

SECONDS = 2  # a link's local address answers at once, or nobody does
MAX_TOKEN_BYTES = 1 << 14
_ECS = "http://169.254.170.2"
_LOCAL = ("localhost", "127.0.0.1", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23")
_IMDS = "http://169.254.169.254"
_ROLE = re.compile(r"[A-Za-z0-9+=,.@_-]{1,128}")


def keys_of_container(environment: Mapping[str, str]) -> AwsKeys:
    """Return keys of ECS or of EKS Pod Identity; raise StoreError."""
    relative, full = (environment.get(f"AWS_CONTAINER_CREDENTIALS_{each}_URI", "") for each in ("RELATIVE", "FULL"))
    if not relative and not full:
        raise StoreError("this is no container with a role: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set")
    url = f"{_ECS}{relative}" if relative else full
    place = urlsplit(url)
    if place.scheme != "https" and not (place.scheme == "http" and place.hostname in _LOCAL):
        raise StoreError("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor on this machine")
    token = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    if path := environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", ""):
        try:
            with Path(path).open(encoding="ascii") as file:
                token = file.read(MAX_TOKEN_BYTES).strip()
        except (OSError, UnicodeDecodeError):
            raise StoreError(f"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: {path} cannot be read") from None
    if not token.isprintable():
        raise StoreError("the token of AWS_CONTAINER_AUTHORIZATION_TOKEN is none")
    return _said(*exchange(url, {"Authorization": token} if token else {}, seconds=SECONDS), "the container's service")


def keys_of_instance(environment: Mapping[str, str]) -> AwsKeys:
    """Return keys of the role of an EC2 instance (IMDSv2); raise StoreError."""
    if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        raise StoreError("the instance's role is not asked for", hint="AWS_EC2_METADATA_DISABLED is set")
    at = (environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _IMDS).rstrip("/")
    status, token = exchange(
        f"{at}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, method="PUT", seconds=SECONDS
    )
    told = token.decode("latin-1")
    if status != 200 or not told.isprintable():
        raise StoreError(f"the instance's metadata service answers {status}")
    headers, roles = {"X-aws-ec2-metadata-token": told}, f"{at}/latest/meta-data/iam/security-credentials/"
    status, said = exchange(roles, headers, seconds=SECONDS)
    role = said.decode("latin-1").partition("\n")[0].strip()
    if status != 200 or not _ROLE.fullmatch(role):
        raise StoreError("the instance has no role")
    return _said(*exchange(f"{roles}{role}", headers, seconds=SECONDS), "the instance's metadata service")


def _said(status: int, body: bytes, who: str) -> AwsKeys:
    if status != 200:
        raise StoreError(f"{who} answers {status}")
    try:
        said = json.loads(body)
        return keys_of(said["AccessKeyId"], said["SecretAccessKey"], said.get("Token"), said.get("Expiration"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise StoreError(f"{who} gives no keys") from None
