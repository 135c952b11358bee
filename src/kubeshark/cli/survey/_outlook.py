"""What the survey says before it writes: what would be in the way, and how much would be captured in a day.

Both change with the machine and the hour, so they are said beside the file and are not in it. Neither fails the survey.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kubeshark.cli.terminal._progress import scaled
from kubeshark.errors import KubesharkError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubeshark.cli.survey._survey import Survey
    from kubeshark.cluster import Check
    from kubeshark.settings import Settings

__all__ = ["open_share", "outlook", "sampled_bytes"]

SAMPLE_S = 2.0
DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
RING_BYTES = 8 << 20
MAX_WINDOWS = 2_000
"""That are looked at: one that opens each second tells enough in half an hour."""


def outlook(survey: Survey, settings: Settings) -> list[str]:
    """Return lines to show; none for files, where nothing is captured."""
    if survey.target == "files":
        return []
    if survey.target == "cluster":
        return _told(_of_cluster(survey, settings))
    from kubeshark.cli.checks._local_checks import local_checks

    return [*_told(local_checks()), *_expected(settings)]


def _of_cluster(survey: Survey, settings: Settings) -> list[Check]:
    from kubeshark.cluster import Check, Cluster, run_checks

    if survey.facts() is None:
        return [Check("cluster", "warn", survey.trouble(), 'look again with "kubeshark check --pre-tap"')]
    try:
        return list(run_checks(Cluster.open(survey.kubeconfig, settings.kube.context), settings))
    except KubesharkError as error:
        return [Check("cluster", "warn", error.message, error.hint)]


def _told(checks: Sequence[Check]) -> list[str]:
    wrong = [each for each in checks if each.state != "ok"]
    if not wrong:
        return [f"check: {len(checks)} things looked at, all is well"]
    return [
        f"check: {each.state} {each.name}: {each.said}{f': {each.remedy}' if each.remedy else ''}" for each in wrong
    ]


def _expected(settings: Settings) -> list[str]:
    """Listen a moment, and say what that makes in a day."""
    interfaces, bpf = settings.capture.interfaces, settings.tap.bpf_override
    try:
        sampled = sampled_bytes(interfaces, bpf, SAMPLE_S)
    except KubesharkError:
        return []  # the checks say why nothing can be captured
    share = open_share(settings)
    a_day = sampled / SAMPLE_S * DAY_S * share
    when = f", open {share:.1%} of the time" if share < 1 else ""
    said = f"sampled {SAMPLE_S:g} s on {', '.join(interfaces)}: {scaled(sampled)}B, which makes"
    return [f"{said} {scaled(round(a_day))}B a day{when}, before compression"]


def sampled_bytes(interfaces: Sequence[str], bpf: str, seconds: float) -> int:
    """Return the bytes of packets that pass a filter on interfaces in some time; raise CaptureError, UsageError."""
    from kubeshark.core_capture.live import LiveOptions, LiveSource

    found = 0
    with LiveSource(list(interfaces), LiveOptions(filter=bpf, ring_bytes=RING_BYTES)) as source:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if batch := source.read(left):
                found += len(batch.data)
    return found


def open_share(settings: Settings, now: float | None = None) -> float:
    """Return which part of the week from now on schedules leave open, 1 without any."""
    if not settings.capture.schedules:
        return 1.0
    from kubeshark.settings import Windows

    windows = Windows(settings.capture.schedules, settings.timezone)
    begin = at = time.time() if now is None else now
    opened = 0.0
    for _ in range(MAX_WINDOWS):
        if at >= begin + WEEK_S:
            break
        moment = windows.at(at)
        until = min(moment.until, begin + WEEK_S)
        opened += until - at if moment.names else 0.0
        at = until
    return opened / (at - begin)
