"""The deployment in a cluster: what is made there, how it is made so, and how it is reached."""

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark.cluster._apply import Deployment as Deployment
    from kubeshark.cluster._archive import archive_of as archive_of
    from kubeshark.cluster._chart import write_chart as write_chart
    from kubeshark.cluster._checks import Check as Check
    from kubeshark.cluster._checks import run_checks as run_checks
    from kubeshark.cluster._client import Cluster as Cluster
    from kubeshark.cluster._forward import Forward as Forward
    from kubeshark.cluster._forward import ready_pod as ready_pod
    from kubeshark.cluster._logs import write_logs as write_logs
    from kubeshark.cluster._manifests import manifests as manifests
    from kubeshark.cluster._material import has_identity as has_identity
    from kubeshark.cluster._material import materials as materials
    from kubeshark.cluster._material import token_of as token_of
    from kubeshark.cluster._rbac import HUB_GRANTS as HUB_GRANTS
    from kubeshark.cluster._targets import PodChoice as PodChoice
    from kubeshark.cluster._targets import Target as Target
    from kubeshark.cluster._targets import has_ended as has_ended
    from kubeshark.cluster._targets import target_of as target_of
    from kubeshark.cluster._targets import targets as targets
    from kubeshark.cluster._wait import wait_until_ready as wait_until_ready
    from kubeshark.cluster._watch import Change as Change
    from kubeshark.cluster._watch import Watch as Watch

__all__ = [
    "HUB_GRANTS",
    "Change",
    "Check",
    "Cluster",
    "Deployment",
    "Forward",
    "PodChoice",
    "Target",
    "Watch",
    "archive_of",
    "has_ended",
    "has_identity",
    "manifests",
    "materials",
    "ready_pod",
    "run_checks",
    "target_of",
    "targets",
    "token_of",
    "wait_until_ready",
    "write_chart",
    "write_logs",
]

_HOMES = {
    "_apply": "Deployment",
    "_archive": "archive_of",
    "_chart": "write_chart",
    "_checks": "Check run_checks",
    "_client": "Cluster",
    "_forward": "Forward ready_pod",
    "_logs": "write_logs",
    "_manifests": "manifests",
    "_material": "has_identity materials token_of",
    "_rbac": "HUB_GRANTS",
    "_targets": "PodChoice Target has_ended target_of targets",
    "_wait": "wait_until_ready",
    "_watch": "Change Watch",
}

__getattr__ = lazily(__name__, _HOMES)
