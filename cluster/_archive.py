"""The archive of a deployment: where workers upload sealed segments to, and where the hub reads those that are gone.

It is `store.url`, or put together from `tap.snapshots.cloud`. Credentials are not in it: they are the environment that
the Secrets of `tap.snapshots.cloud.secrets` give both pods.
"""

from __future__ import annotations

import re
from typing import Any

from kubeshark.cluster._plain import plain
from kubeshark.cluster._tree import Equals, Scope, Setting, Text, When, evaluate
from kubeshark.errors import UsageError
from kubeshark.settings import Settings

__all__ = ["archive_arguments", "archive_of", "check_archive"]

EXTERNAL_ID = "^[A-Za-z0-9_+=,.@:/-]{2,1224}$"
"""What a role's owner gives to tell callers apart; the chart asks the same."""

ROLE_ARN = "^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,576}$"
"""What a role is called; the chart asks the same."""

_URL, _CLOUD = Setting("store.url"), "tap.snapshots.cloud"
_PROVIDER, _PREFIX = Setting(f"{_CLOUD}.provider"), Setting(f"{_CLOUD}.prefix")
_PLACES = {
    "s3": Text.of("s3://", Setting(f"{_CLOUD}.s3.bucket"), "/", _PREFIX),
    "azblob": Text.of(
        "az://", Setting(f"{_CLOUD}.azblob.storageAccount"), "/", Setting(f"{_CLOUD}.azblob.container"), "/", _PREFIX
    ),
    "gcs": Text.of("gs://", Setting(f"{_CLOUD}.gcs.bucket"), "/", _PREFIX),
}


def archive_arguments(option: str) -> list[When]:
    """Return the items of a list of arguments that name the archive, none where there is none."""
    given = When(_URL, _URL, _PROVIDER)
    return [When(given, option), When(given, _archive())]


def archive_of(settings: Settings) -> str:
    """Return the URL, "" for none; raise UsageError where settings name none that is whole."""
    check_archive(settings)
    found: str = evaluate(_archive(), Scope(plain(settings), {}, {}))
    return found


def check_archive(settings: Settings) -> None:
    """Raise UsageError for a place that is named twice, or not whole. Whether it is a URL is the store's to say."""
    cloud = settings.tap.snapshots.cloud
    if cloud.provider and settings.store.url:
        raise UsageError(
            "store.url and tap.snapshots.cloud.provider both say where sealed segments go", hint="leave one of them out"
        )
    needed = {
        "s3": {"s3.bucket": cloud.s3.bucket},
        "azblob": {"azblob.storageAccount": cloud.azblob.storage_account, "azblob.container": cloud.azblob.container},
        "gcs": {"gcs.bucket": cloud.gcs.bucket},
    }
    for name, value in needed.get(cloud.provider, {}).items():
        if not value:
            raise UsageError(f"{_CLOUD}.{name} is empty", hint=f"{_CLOUD}.provider={cloud.provider} needs it")
        if "/" in value:
            raise UsageError(f"{_CLOUD}.{name} has a slash", hint=f"what names begin with is {_CLOUD}.prefix")
    _check_role(settings)
    if settings.store.url.startswith("memory:"):
        raise UsageError("store.url: memory is not shared by pods", hint="write s3://BUCKET/PREFIX")


def _check_role(settings: Settings) -> None:
    s3, cloud = settings.tap.snapshots.cloud.s3, settings.tap.snapshots.cloud
    if s3.role_arn and not re.fullmatch(ROLE_ARN, s3.role_arn):
        raise UsageError(
            f"{_CLOUD}.s3.roleArn: {s3.role_arn[:100]!r} is no role", hint="write arn:aws:iam::123456789012:role/NAME"
        )
    if s3.role_arn and cloud.provider != "s3" and not settings.store.url.startswith("s3:"):
        raise UsageError(f"{_CLOUD}.s3.roleArn is for an archive in S3, and there is none", hint="leave it out")
    if s3.external_id and not s3.role_arn:
        raise UsageError(f"{_CLOUD}.s3.externalId is for a role, and there is none", hint=f"set {_CLOUD}.s3.roleArn")
    if s3.external_id and not re.fullmatch(EXTERNAL_ID, s3.external_id):
        raise UsageError(f"{_CLOUD}.s3.externalId is none", hint="2 to 1,224 letters, digits or +=,.@:/-_")


def _archive() -> Any:
    """Return the tree of the URL, "" for none."""
    found: Any = ""
    for provider, place in _PLACES.items():
        found = When(Equals(_PROVIDER, provider), place, found)
    return When(_URL, _URL, found)
