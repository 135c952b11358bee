"""What an answer or a value can be checked for at once. Each check raises UsageError, and returns what is worth saying.

Libraries are loaded by the check that needs them; what speaks to others waits TIMEOUT_S at most.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from kubeshark.errors import KubesharkError, UsageError

if TYPE_CHECKING:
    from kubeshark.settings import Schedule, Settings

__all__ = [
    "check_bpf",
    "check_bucket",
    "check_certificate",
    "check_cloud",
    "check_cron",
    "check_duration",
    "check_folder",
    "check_interfaces",
    "check_issuer",
    "check_kfl",
    "check_recipients",
    "check_regex",
    "check_schedule",
    "check_size",
    "check_timezone",
    "default_interfaces",
    "six_fields",
]

TIMEOUT_S = 5.0
ETHERNET = 1
PROBE = b"kubeshark probe object: may be deleted"
NEXT_RUNS = 3


def check_regex(text: str) -> list[str]:
    import re2  # type: ignore[import-untyped]

    if len(text) > 2_000:
        raise UsageError("a regular expression has at most 2,000 characters")
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(text, options=options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise UsageError(f"{text[:80]!r} is no regular expression: {said}") from None
    return []


def check_bpf(text: str) -> list[str]:
    """Compile for Ethernet by libpcap, whose words the error has; it refuses what matches nothing by itself."""
    if not text.strip():
        return []
    from kubeshark.core_capture.live._bpf import compile_filter

    program = compile_filter(text, ETHERNET, 262_144)
    kept = {operand for code, _yes, _no, operand in program if code == 6}  # BPF_RET | BPF_K
    return ["this filter matches every packet"] if kept and 0 not in kept else []


def check_kfl(text: str, macros: Mapping[str, str] | None = None) -> list[str]:
    if text.strip():
        from kubeshark.pipeline.kfl import compile_filter

        compile_filter(text, now_ns=time.time_ns(), macros=macros)
    return []


def check_macros(macros: Mapping[str, str]) -> list[str]:
    if macros:
        from kubeshark.pipeline import kfl

        kfl.check_macros(macros, now_ns=time.time_ns())
    return []


def check_timezone(text: str) -> list[str]:
    from kubeshark.settings import zone_of

    if not text:
        raise UsageError("'' is no time zone", hint="write UTC or Europe/Berlin")
    zone_of(text)
    return []


def six_fields(cron: str) -> str:
    from kubeshark import settings

    return settings.six_fields(cron)


def check_cron(cron: str, zone: str, duration_s: float = 0) -> list[str]:
    """Return the next runs in a time zone, and a warning where one begins before the one before has ended."""
    from croniter import croniter

    from kubeshark.settings import zone_of

    times = croniter(six_fields(cron), datetime.now(zone_of(zone)), second_at_beginning=True)
    runs = [times.get_next(datetime) for _ in range(NEXT_RUNS + 1)]
    said = [f"next run: {run:%Y-%m-%d %H:%M:%S %Z}" for run in runs[:NEXT_RUNS]]
    shortest = min((after - before).total_seconds() for before, after in pairwise(runs))
    if duration_s > shortest:
        said.append(f"warning: a run takes {duration_s:,.0f} s, and the next one begins after {shortest:,.0f} s")
    return said


def check_schedule(schedule: Schedule) -> list[str]:
    from kubeshark.settings._windows import check_schedule as check

    check(schedule)
    check_bpf(schedule.filter)
    return check_cron(schedule.cron, "UTC", schedule.duration.seconds)


def check_cloud(settings: Settings) -> None:
    """Raise UsageError where an archive is named that is none."""
    from kubeshark.cluster import archive_of

    cloud = settings.tap.snapshots.cloud
    if cloud.provider or cloud.s3.role_arn or cloud.s3.external_id:
        archive_of(settings)


def check_uploads(settings: Settings) -> None:
    """Raise UsageError where a schedule shall be uploaded, and nothing says where to."""
    from kubeshark.cluster import archive_of

    asking = [each.name for each in settings.capture.schedules if each.upload]
    if asking and not (settings.tap.snapshots.cloud.provider or archive_of(settings)):
        raise UsageError(
            f"schedule {asking[0]}: upload: true, and there is no archive",
            hint="set tap.snapshots.cloud, or leave upload out",
        )


def check_size(text: str) -> list[str]:
    from kubeshark.settings._values import parse_size

    try:
        parse_size(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return []


def check_duration(text: str, *, least: float = 0) -> list[str]:
    from kubeshark.settings._values import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if seconds < least:
        raise UsageError(f"{text!r} is too short: at least {least:g} s")
    return []


def check_recipients(texts: Iterable[str]) -> list[str]:
    from kubeshark.core_capture.store import parse_recipients

    parse_recipients(texts)
    return []


def check_interfaces(names: Sequence[str]) -> list[str]:
    from kubeshark.core_capture.live._interfaces import look_up

    return [f"warning: {name} is down" for name in names if not look_up(name).is_up]


def default_interfaces() -> list[str]:
    """Return the interface of the default route, else those that are up and no loopback."""
    from kubeshark.core_capture.live import list_interfaces

    try:
        lines = Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        lines = []
    routes = [line.split() for line in lines]
    found = [fields[0] for fields in routes if len(fields) > 1 and fields[1] == "00000000"]
    up = [one.name for one in list_interfaces() if one.is_up and not one.is_loopback and one.index]
    return found[:1] or up[:1] or ["lo"]


def check_folder(text: str, limit_bytes: int) -> list[str]:
    """Say whether a store can be made there, and whether there is room."""
    folder = Path(text).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder")
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{there} cannot be written to")
    free = shutil.disk_usage(there).free
    if free < limit_bytes:
        return [f"warning: {free / 2**30:,.1f} GiB are free, {limit_bytes / 2**30:,.1f} GiB may be used"]
    return []


def check_bucket(url: str, environment: dict[str, str]) -> list[str]:
    """Write an object, read a range of it and delete it, with the credentials of this machine's environment."""
    from kubeshark.core_capture.store.places._object_client import ObjectClient

    name = f"kubeshark-probe-{os.getpid()}-{os.urandom(4).hex()}"
    before = {variable: os.environ.get(variable) for variable in environment}
    os.environ.update(environment)
    try:
        client = ObjectClient(url)
        client.put(name, PROBE)
        try:
            if client.get(name, 10, 15).data != PROBE[10:15]:
                raise UsageError(f"{url}: a range of an object is read wrongly", hint="use a server with ranges")
        finally:
            client.delete(name)
    except UsageError:
        raise
    except KubesharkError as error:
        raise UsageError(f"the bucket cannot be used: {error}") from None
    except FileNotFoundError:
        raise UsageError(f"{url}: what was written is not there") from None
    finally:
        for variable, value in before.items():
            if value is None:
                del os.environ[variable]
            else:
                os.environ[variable] = value
    return [f"{url}: written, read and deleted"]


def check_certificate(certificate: str, key: str, host: str) -> list[str]:
    """Say whether a certificate is good today, for this name, and belongs to the key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        [first, *_] = x509.load_pem_x509_certificates(Path(certificate).expanduser().read_bytes())
        private = load_pem_private_key(Path(key).expanduser().read_bytes(), None)
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None
    except (ValueError, TypeError):  # TypeError: the key has a passphrase
        hint = "PEM, without a passphrase"
        raise UsageError(f"{certificate} and {key} are no certificate and its key", hint=hint) from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if first.public_key().public_bytes(*form) != private.public_key().public_bytes(*form):
        raise UsageError(f"{key} is not the key of {certificate}")
    now = datetime.now(UTC)
    if not first.not_valid_before_utc <= now <= first.not_valid_after_utc:
        days = f"{first.not_valid_before_utc:%Y-%m-%d} to {first.not_valid_after_utc:%Y-%m-%d}"
        raise UsageError(f"{certificate} is good from {days}")
    try:
        alternatives = first.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = alternatives.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    wildcard = "*." + host.partition(".")[2]
    if host and host not in names and wildcard not in names:
        raise UsageError(f"{certificate} is not for {host}", hint=f"it is for {', '.join(names) or 'no name'}")
    left = (first.not_valid_after_utc - now).days
    return [f"warning: {certificate} expires in {left} days"] if left < 30 else []


def check_issuer(issuer: str) -> list[str]:
    """Ask an identity provider for its discovery document, which must name it as it was named."""
    import httpx

    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    if not re.match(r"https://|http://(localhost|127\.0\.0\.1|\[::1\])[:/]", f"{issuer}/"):
        raise UsageError(f"the issuer {issuer[:100]!r} is no https:// URL")
    try:
        answer = httpx.get(url, timeout=TIMEOUT_S)
        document = answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise UsageError(f"{url} cannot be read: {error}") from None
    if not isinstance(document, dict) or "authorization_endpoint" not in document:
        raise UsageError(f"{url} is no discovery document (status {answer.status_code})")
    if document.get("issuer") != issuer:
        raise UsageError(f"the provider calls itself {str(document.get('issuer'))[:100]!r}", hint="give that as issuer")
    return []
