"""Answers of the survey as keys of kubeshark.yaml, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeshark.cli.survey._answers import bucket_url
from kubeshark.cli.survey._survey import Survey
from kubeshark.settings import Duration, Schedule, Settings, Size

if TYPE_CHECKING:
    from kubeshark.settings import Loaded

__all__ = ["answers_of", "keys_of"]

CLOUD = "tap.snapshots.cloud"
SCHEDULE = "scheduled"


def keys_of(s: Survey, mine: str) -> dict[str, Any]:
    """Return key path → value; None takes a key out of the file. `mine`: this machine's public key."""
    given: dict[str, Any] = {
        "store.recipients": tuple(([mine] if s["readers"] != "recipients" else []) + (s["recipient"] or [])),
        "store.retention.bytes": Size(s["storage_limit"]),
        "store.retention.age": Duration(s["max_age"]),
        "capture.keylogs": tuple(s["keylog"]) if s["keylog"] else None,
        "plugins.enabled": tuple(s["plugin"]) if s["plugin"] else None,
        "redaction.enabled": s["redact"],
    }
    given |= _capture(s) | _storage(s)
    return given | (_cluster(s) if s.target == "cluster" else dict.fromkeys(_CLUSTER_KEYS))


def _capture(s: Survey) -> dict[str, Any]:
    scheduled = s["when"] == "schedule"
    bpf = s["bpf"] or ""
    schedule = (
        Schedule(name=SCHEDULE, cron=s["schedule"], duration=Duration(s["duration"]), filter=bpf) if scheduled else None
    )
    live = s.target != "files"
    return {
        "capture.interfaces": tuple(s["interface"]) if s.target == "local" else None,
        "capture.schedules": (schedule,) if schedule else None,
        "timezone": s["timezone"] if scheduled else None,
        "tap.bpfOverride": bpf or None if live else None,
        "firewall.enabled": s["firewall"] != "off" if live else None,
        "firewall.defaultMode": "Enforce" if s["firewall"] == "enforce" else "Audit" if live else None,
    }


def _storage(s: Survey) -> dict[str, Any]:
    kind, in_cluster = s["storage"], s.target == "cluster"
    cloud = kind in ("s3", "azblob", "gcs")
    return {
        "store.path": s["store"] if kind == "local" and not in_cluster else None,
        "store.url": bucket_url(s) if cloud and not in_cluster else None,
        f"{CLOUD}.provider": kind if cloud and in_cluster else None,
        f"{CLOUD}.prefix": s["prefix"] if cloud and in_cluster else None,
        f"{CLOUD}.s3.bucket": s["bucket"] if kind == "s3" and in_cluster else None,
        f"{CLOUD}.s3.region": s["region"] or None if kind == "s3" else None,
        f"{CLOUD}.s3.endpoint": s["endpoint"] or None if kind == "s3" else None,
        f"{CLOUD}.azblob.storageAccount": s["account"] if kind == "azblob" and in_cluster else None,
        f"{CLOUD}.azblob.container": s["bucket"] if kind == "azblob" and in_cluster else None,
        f"{CLOUD}.gcs.bucket": s["bucket"] if kind == "gcs" and in_cluster else None,
        f"{CLOUD}.secrets": (s["secret"],) if s["secret"] else None,
    }


_CLUSTER_KEYS = (
    "kube.context", "tap.regex", "tap.namespaces", "tap.excludedNamespaces", "tap.stopped", "tap.persistentStorage",
    "tap.storageClass", "tap.storageLimit", "tap.tls", "tap.resources.sniffer.limits.cpu",
    "tap.resources.sniffer.limits.memory", "tap.ingress.enabled", "tap.ingress.host", "tap.ingress.tls",
    "hub.tls.cert", "hub.tls.key", "tap.auth.enabled", "tap.auth.type", "tap.auth.oidc.issuer",
    "tap.auth.oidc.clientId",
)  # fmt: skip


def _cluster(s: Survey) -> dict[str, Any]:
    from kubeshark.settings._tap import IngressTls

    ingress = s["ui"] == "ingress"
    oidc = s["auth"] == "oidc"
    pvc = s["storage"] == "pvc"
    return {
        "kube.context": s["context"] or None,
        "tap.regex": s["regex"],
        "tap.namespaces": tuple(s["namespaces"] or ()),
        "tap.excludedNamespaces": tuple(s["excluded"] or ()),
        "tap.stopped": True if s["when"] == "demand" else None,
        "tap.persistentStorage": pvc,
        "tap.storageClass": s["storage_class"] if pvc else None,
        "tap.storageLimit": Size(s["storage_limit"]),
        "tap.tls": s["tls"] == "probes",
        "tap.resources.sniffer.limits.cpu": s["cpu_limit"],
        "tap.resources.sniffer.limits.memory": s["memory_limit"],
        "tap.ingress.enabled": ingress,
        "tap.ingress.host": s["ingress_host"] if ingress else None,
        "tap.ingress.tls": (
            (IngressTls(hosts=(s["ingress_host"],), secret_name=s["tls_secret"]),) if ingress else None
        ),
        "hub.tls.cert": s["tls_cert"] or None,
        "hub.tls.key": s["tls_key"] or None,
        "tap.auth.enabled": True,
        "tap.auth.type": s["auth"],
        "tap.auth.oidc.issuer": s["oidc_issuer"] if oidc else None,
        "tap.auth.oidc.clientId": s["oidc_client_id"] if oidc else None,
    }


def answers_of(loaded: Loaded, mine: str) -> dict[str, Any]:
    """Return what a file answers already: the defaults when the survey is run again."""
    settings, given = loaded.settings, loaded.is_given
    tap, store, cloud = settings.tap, settings.store, settings.tap.snapshots.cloud
    found: dict[str, Any] = {}

    def take(key: str, **answers: Any) -> None:
        if given(key):
            found.update(answers)

    in_cluster = given("tap.regex") or given("tap.namespaces")
    target = "cluster" if in_cluster else "local" if given("capture.interfaces") else "files"
    found["target"] = target
    take("kube.context", context=settings.kube.context)
    take("capture.interfaces", interface=list(settings.capture.interfaces))
    take("tap.namespaces", namespaces=list(tap.namespaces), namespace_mode="choose" if tap.namespaces else "all")
    take("tap.excludedNamespaces", excluded=list(tap.excluded_namespaces))
    if tap.excluded_namespaces:
        found["namespace_mode"] = "exclude"
    take("tap.regex", regex=tap.regex)
    take("tap.bpfOverride", bpf=tap.bpf_override)
    take("tap.stopped", when="demand" if tap.stopped else "always")
    for schedule in settings.capture.schedules[:1]:
        found |= {"when": "schedule", "schedule": schedule.cron, "duration": str(schedule.duration)}
    take("timezone", timezone=settings.timezone)
    found |= _storage_answers(settings, given, target)
    limit = tap.storage_limit if in_cluster else store.retention.bytes
    take("tap.storageLimit" if in_cluster else "store.retention.bytes", storage_limit=str(limit))
    take("store.retention.age", max_age=str(store.retention.age))
    if given("store.recipients"):
        others = [each for each in store.recipients if each != mine]
        is_mine = mine in store.recipients
        found |= {"readers": ("both" if others else "mine") if is_mine else "recipients", "recipient": others}
    take("capture.keylogs", keylog=list(settings.capture.keylogs), tls="keylog")
    take("tap.tls", tls="probes" if tap.tls else "keylog")
    mode = "enforce" if settings.firewall.default_mode == "Enforce" else "audit"
    take("firewall.enabled", firewall=mode if settings.firewall.enabled else "off")
    take("tap.resources.sniffer.limits.cpu", cpu_limit=tap.resources.sniffer.limits.cpu)
    take("tap.resources.sniffer.limits.memory", memory_limit=tap.resources.sniffer.limits.memory)
    take("tap.ingress.enabled", ui="ingress" if tap.ingress.enabled else "loopback")
    take("tap.ingress.host", ingress_host=tap.ingress.host)
    for certificate in tap.ingress.tls[:1]:
        found["tls_secret"] = certificate.secret_name
    take("hub.tls.cert", tls_cert=settings.hub.tls.cert)
    take("hub.tls.key", tls_key=settings.hub.tls.key)
    take("tap.auth.type", auth=tap.auth.type)
    take("tap.auth.oidc.issuer", oidc_issuer=tap.auth.oidc.issuer)
    take("tap.auth.oidc.clientId", oidc_client_id=tap.auth.oidc.client_id)
    take("redaction.enabled", redact=settings.redaction.enabled)
    take("plugins.enabled", plugin=list(settings.plugins.enabled))
    take(f"{CLOUD}.secrets", credentials="secret", secret=next(iter(cloud.secrets), ""))
    return found


def _storage_answers(settings: Settings, given: Any, target: str) -> dict[str, Any]:
    tap, store, cloud = settings.tap, settings.store, settings.tap.snapshots.cloud
    if target == "cluster":
        if not cloud.provider:
            return {
                "storage": "pvc" if tap.persistent_storage else "local",
                **({"storage_class": tap.storage_class} if given("tap.storageClass") else {}),
            }
        bucket = {"s3": cloud.s3.bucket, "azblob": cloud.azblob.container, "gcs": cloud.gcs.bucket}[cloud.provider]
        account = cloud.azblob.storage_account
        place = {"storage": cloud.provider, "bucket": bucket, "account": account, "prefix": cloud.prefix}
        return place | {"region": cloud.s3.region, "endpoint": cloud.s3.endpoint}
    scheme, _, rest = store.url.partition("://")
    kind = {"s3": "s3", "gs": "gcs", "az": "azblob"}.get(scheme)
    if kind is None:
        return {"storage": "local", **({"store": store.path} if given("store.path") else {})}
    account, _, rest = rest.partition("/") if kind == "azblob" else ("", "", rest)
    bucket, _, prefix = rest.partition("/")
    place = {"storage": kind, "account": account, "bucket": bucket, "prefix": prefix}
    return place | {"region": cloud.s3.region, "endpoint": cloud.s3.endpoint}
