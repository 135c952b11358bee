"""Secrets are made once; what is there is kept until it is about to end."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest

from kubeshark._certificates import make_pair
from kubeshark.cluster import Cluster, Deployment, has_identity, manifests, materials, token_of
from tests.cluster._settings import settings


def deploy(cluster: Cluster, namespace: str, made: dict[str, str]) -> None:
    found = manifests(settings(namespace=namespace), made, "0.1.0")
    Deployment(cluster, "kubeshark", namespace, lambda _: None).apply(found)


def test_made_once(cluster: Cluster, namespace: str) -> None:
    made = materials(cluster, namespace, b"AGE-SECRET-KEY-1")
    assert made.keys() == {"token", "hub.crt", "hub.key", "worker.crt", "worker.key", "ca.crt", "identity"}
    assert not has_identity(cluster, namespace)
    deploy(cluster, namespace, made)
    assert materials(cluster, namespace, b"AGE-SECRET-KEY-1") == made
    assert token_of(cluster, namespace) == b64decode(made["token"]).decode()
    assert has_identity(cluster, namespace)
    assert "identity" not in materials(cluster, namespace, None)


@pytest.mark.parametrize("days", [10])
def test_what_ends_soon_is_replaced_together(cluster: Cluster, namespace: str, days: int) -> None:
    made = materials(cluster, namespace, None)
    old = make_pair("kubeshark-worker", days=days)
    for who, files in (("hub", old.hub), ("worker", old.worker)):
        made |= {
            f"{who}.crt": _text(files["tls.crt"]),
            f"{who}.key": _text(files["tls.key"]),
            "ca.crt": _text(files["ca.crt"]),
        }
    deploy(cluster, namespace, made)
    again = materials(cluster, namespace, None)
    assert again["token"] == made["token"], "nobody is signed out"
    assert not {made[name] for name in made if name != "token"} & set(again.values())


def test_no_token_where_nothing_is(cluster: Cluster, namespace: str) -> None:
    assert token_of(cluster, namespace) == ""


def _text(data: bytes) -> str:
    return b64encode(data).decode()
