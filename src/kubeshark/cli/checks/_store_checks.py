"""Whether packets can be kept: the store of this machine, and the archive with the credentials that pods will have."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from kubeshark.errors import ClusterError, KubesharkError, UsageError

if TYPE_CHECKING:
    from kubeshark.cluster import Check, Cluster
    from kubeshark.settings import Settings

__all__ = ["store_checks"]


def store_checks(settings: Settings, cluster: Cluster | None, *, is_local: bool) -> list[Check]:
    """Return a check of the folder (`is_local`), and of the archive if there is one.

    In the archive an object is written, read and deleted: with this machine's environment, and where `cluster` is
    given with the entries of the Secrets that settings name, as pods get them.
    """
    from kubeshark.cluster import archive_of

    found = [_folder(settings)] if is_local else []
    try:
        url = archive_of(settings)
    except UsageError as error:
        from kubeshark.cluster import Check

        return [*found, Check("archive", "fail", error.message, error.hint)]
    return [*found, _archive(url, settings, cluster)] if url else found


def _folder(settings: Settings) -> Check:
    from kubeshark.cli.checks._values import check_folder
    from kubeshark.cluster import Check

    path = settings.store.path
    if "://" in path:
        return _probed("store", path, {})
    try:
        said = check_folder(path, settings.store.retention.bytes.bytes)
    except UsageError as error:
        return Check("store", "fail", error.message, "see store.path")
    if said:
        return Check("store", "warn", f"{path}: {said[0].removeprefix('warning: ')}", "see store.retention.bytes")
    return Check("store", "ok", path)


def _archive(url: str, settings: Settings, cluster: Cluster | None) -> Check:
    from kubeshark.cluster import Check

    cloud = settings.tap.snapshots.cloud
    environment: dict[str, str] = {}
    if cloud.provider == "s3":
        given = {
            "AWS_REGION": cloud.s3.region,
            "AWS_ENDPOINT_URL": cloud.s3.endpoint,
            "KUBESHARK_S3_ROLE_ARN": cloud.s3.role_arn,
            "KUBESHARK_S3_EXTERNAL_ID": cloud.s3.external_id,
        }
        environment = {name: value for name, value in given.items() if value}
    if cluster is not None:
        try:
            for name in (*settings.tap.secrets, *cloud.secrets):
                environment |= _entries(cluster, settings.tap.release.namespace, name)
        except ClusterError as error:
            return Check("archive", "fail", f"its credentials cannot be read: {error.message}", error.hint)
    return _probed("archive", url, environment)


def _entries(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    """Return a Secret as the environment that it is for pods; raise ClusterError."""
    found = cluster.get("Secret", namespace, name)
    if found is None:
        hint = "see tap.snapshots.cloud.secrets"
        raise ClusterError(f"there is no Secret {name} in namespace {namespace}", hint=hint)
    try:
        return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}
    except (binascii.Error, UnicodeDecodeError):
        raise ClusterError(f"Secret {name} in namespace {namespace} has an entry that is no text") from None


def _probed(row: str, url: str, environment: dict[str, str]) -> Check:
    from kubeshark.cli.checks._values import check_bucket
    from kubeshark.cluster import Check

    try:
        return Check(row, "ok", check_bucket(url, environment)[0])
    except KubesharkError as error:
        return Check(row, "fail", error.message, error.hint or "see docs/object-storage.md")
