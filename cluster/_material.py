"""Secrets of a deployment that are made once: the hub's token, certificates of hub and workers, the identity.

What a Secret of ours holds already is kept, so that a second run changes nothing and nobody is signed out.
"""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from kubeshark._certificates import make_pair
from kubeshark.cluster._client import Cluster
from kubeshark.cluster._names import IDENTITY, TLS_HUB, TLS_WORKER, TOKEN, WORKER

__all__ = ["has_identity", "materials", "token_of"]

RENEW = timedelta(days=30)
"""Certificates that end sooner are replaced: hub and workers of the same release are, together."""


def materials(cluster: Cluster, namespace: str, identity: bytes | None) -> dict[str, str]:
    """Return what `Material` nodes stand for, base64. `identity`: the text of an identity file; None: none is given."""
    made = {"token": _text(secrets.token_urlsafe(32).encode())}
    if kept := _data(cluster, namespace, TOKEN).get("token"):
        made["token"] = kept
    hub, worker = _data(cluster, namespace, TLS_HUB), _data(cluster, namespace, TLS_WORKER)
    if not (_is_good(hub) and _is_good(worker) and hub["ca.crt"] == worker["ca.crt"]):
        pair = make_pair(WORKER)
        hub, worker = ({name: _text(pem) for name, pem in files.items()} for files in (pair.hub, pair.worker))
    for who, files in (("hub", hub), ("worker", worker)):
        made |= {f"{who}.crt": files["tls.crt"], f"{who}.key": files["tls.key"]}
    made["ca.crt"] = hub["ca.crt"]
    if identity is not None:
        made["identity"] = _text(identity)
    return made


def has_identity(cluster: Cluster, namespace: str) -> bool:
    """Say whether somebody put an identity there: that is the hub's, then."""
    return "identity.age" in _data(cluster, namespace, IDENTITY)


def token_of(cluster: Cluster, namespace: str) -> str:
    """Return the hub's token; "" where there is none."""
    return b64decode(_data(cluster, namespace, TOKEN).get("token", "")).decode("ascii", "replace").strip()


def _data(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    found = cluster.get("Secret", namespace, name)
    data: dict[str, str] = (found or {}).get("data") or {}
    return data


def _is_good(secret: dict[str, Any]) -> bool:
    from cryptography import x509

    if not {"tls.crt", "tls.key", "ca.crt"} <= secret.keys():
        return False
    try:
        certificate = x509.load_pem_x509_certificate(b64decode(secret["tls.crt"]))
    except ValueError:
        return False
    return certificate.not_valid_after_utc - datetime.now(UTC) > RENEW


def _text(data: bytes) -> str:
    return b64encode(data).decode("ascii")
