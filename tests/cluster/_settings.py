"""Settings and objects for tests."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from kubeshark.cluster import manifests
from kubeshark.core_capture.store import Identity
from kubeshark.settings import Settings, load

RECIPIENT = str(Identity.generate().recipient)
MANY = (
    "tap.persistentStorage=true",
    "tap.serviceMesh=true",
    "tap.ingress.enabled=true",
    "tap.ingress.host=traffic.example.test",
    "tap.ingress.tls=[{hosts: [traffic.example.test], secretName: traffic-tls}]",
    "tap.ingress.annotations.example.test/a=yes: or no",
    "tap.docker.registry=registry.example.test/x",
    "tap.docker.imagePullSecrets=pull-a",
    "tap.docker.imagePullSecrets=pull-b",
    "tap.labels.team=network",
    "tap.annotations.note=a: b # c",
    'tap.bpfOverride=tcp port 80 and not host "x<y" & {{ .Values }}',
    "tap.priorityClass=high",
    "tap.secrets=environment",
    "tap.auth.type=oidc",
    "tap.auth.oidc.issuer=https://id.example.test",
    "tap.auth.oidc.secret=oidc-client",
    "tap.hostNetwork=false",
    "tap.securityContext.appArmorProfile.type=RuntimeDefault",
    "tap.dns.nameservers=10.0.0.1",
    "tap.resources.hub.limits.cpu=2",
    "tap.nodeSelectorTerms.hub=[]",
    "capture.interfaces=eth0",
    'capture.schedules=[{name: nightly, cron: "0 0 2 * * *", duration: 30m, filter: "tcp port 80"}]',
)

CLOUD = "tap.snapshots.cloud"
ROLE = "arn:aws:iam::123456789012:role/team/captures"
CLOUDS: dict[str, tuple[tuple[str, ...], str]] = {
    "s3": (
        (
            f"{CLOUD}.provider=s3",
            f"{CLOUD}.prefix=lab/",
            f"{CLOUD}.s3.bucket=captures",
            f"{CLOUD}.s3.region=eu-central-1",
            f"{CLOUD}.secrets=captures-s3",
        ),
        "s3://captures/lab/",
    ),
    "s3 by a role": (
        (f"{CLOUD}.provider=s3", f"{CLOUD}.s3.bucket=captures", f"{CLOUD}.s3.roleArn={ROLE}"),
        "s3://captures/",
    ),
    "s3 without prefix": ((f"{CLOUD}.provider=s3", f"{CLOUD}.s3.bucket=captures"), "s3://captures/"),
    "azblob": (
        (
            f"{CLOUD}.provider=azblob",
            f"{CLOUD}.prefix=lab",
            f"{CLOUD}.azblob.storageAccount=account",
            f"{CLOUD}.azblob.container=captures",
        ),
        "az://account/captures/lab",
    ),
    "gcs": ((f"{CLOUD}.provider=gcs", f"{CLOUD}.prefix=a/b", f"{CLOUD}.gcs.bucket=captures"), "gs://captures/a/b"),
    "url": (("store.url=s3://captures/lab", f"{CLOUD}.secrets=captures-s3"), "s3://captures/lab"),
}
"""Archives, and the URL that each is."""


def settings(*overrides: str, namespace: str = "shark") -> Settings:
    given = (f"store.recipients={RECIPIENT}", f"tap.release.namespace={namespace}", *overrides)
    return load(None, {}, given).settings


def objects(*overrides: str, namespace: str = "shark") -> list[dict[str, Any]]:
    made: dict[str, str] = defaultdict(lambda: "QQ==")
    made["identity"] = "QQ=="
    return manifests(settings(*overrides, namespace=namespace), made, "0.1.0")


def by_name(made: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in made}
