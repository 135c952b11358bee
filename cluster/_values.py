"""What trees are evaluated with, once settings are found to be such that objects can be made of them."""

from __future__ import annotations

from kubeshark.cluster._archive import check_archive
from kubeshark.cluster._names import MANAGER
from kubeshark.cluster._plain import plain
from kubeshark.cluster._tree import Scope
from kubeshark.errors import UsageError
from kubeshark.settings import Settings, base_path_of

__all__ = ["scope_of"]


def scope_of(settings: Settings, version: str, materials: dict[str, str]) -> Scope:
    """Return what the trees of `_manifests.py` are evaluated with.

    Raise UsageError for what no object can be made of.
    """
    for label in settings.tap.labels:
        if label.startswith(("app.kubernetes.io/", "kubeshark.io/")):
            raise UsageError(f"tap.labels: {label[:100]} is a label by which kubeshark finds its own objects")
    if settings.tap.ingress.enabled and not settings.tap.ingress.host:
        raise UsageError("tap.ingress.host is empty", hint="name the host under which the UI is reached")
    if settings.tap.persistent_storage_pvc_volume_mode == "Block":
        raise UsageError("tap.persistentStoragePvcVolumeMode: captures are files: a block volume cannot hold them")
    if settings.firewall.enabled and not settings.tap.host_network:
        raise UsageError(
            "firewall.enabled with tap.hostNetwork off: only in its node's network a worker sees pods' devices",
            hint="leave one of them out",
        )
    base = base_path_of(settings.tap.routing.front.base_path)
    if base and settings.tap.ingress.enabled and not f"{base}/".startswith(settings.tap.ingress.path.rstrip("/") + "/"):
        raise UsageError(
            f"tap.ingress.path {settings.tap.ingress.path[:100]!r} does not lead to tap.routing.front.basePath",
            hint=f"write {base}, or /",
        )
    if settings.tap.tls and settings.tap.bpf_override:
        raise UsageError(
            "tap.tls with tap.bpfOverride: probes read processes of chosen pods, and a filter chooses none",
            hint="leave one of them out",
        )
    built = {"namespace": settings.tap.release.namespace, "manager": MANAGER, "version": version}
    check_archive(settings)
    return Scope(plain(settings), built, materials)
