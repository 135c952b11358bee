"""Choices, defaults and checks of the survey's answers, given what was answered before."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kubeshark.cli.checks import _values as checks
from kubeshark.cli.survey._prompts import Choice
from kubeshark.cli.survey._survey import Survey
from kubeshark.errors import UsageError

__all__ = [
    "both",
    "bucket_url",
    "check_amount",
    "check_class",
    "check_context",
    "check_cron",
    "check_host",
    "check_interfaces",
    "check_key",
    "check_keylog",
    "check_limit",
    "check_namespaces",
    "check_not_empty",
    "check_offline",
    "check_plugins",
    "check_pods",
    "check_prefix",
    "check_readers",
    "check_recipients",
    "check_secret",
    "check_some_namespaces",
    "check_store",
    "check_target",
    "check_tls",
    "check_zone",
    "classes",
    "contexts",
    "default_class",
    "default_target",
    "fixed",
    "has",
    "in_cluster",
    "interfaces",
    "live",
    "namespaces",
    "plugins",
    "storages",
    "tls_ways",
]

SHOWN_PODS = 10


def in_cluster(s: Survey) -> bool:
    return s.target == "cluster"


def live(s: Survey) -> bool:
    return s.target != "files"


def has(name: str, *values: Any) -> Callable[[Survey], bool]:
    return lambda s: s[name] in values


def both(*conditions: Callable[[Survey], bool]) -> Callable[[Survey], bool]:
    return lambda s: all(condition(s) for condition in conditions)


def fixed(*choices: tuple[str, str]) -> Callable[[Survey], Sequence[Choice]]:
    return lambda _: [Choice(*each) for each in choices]


def default_target(s: Survey) -> str:
    from kubeshark.cli.survey._cluster_facts import kubeconfig_path

    return "cluster" if kubeconfig_path(s.kubeconfig) is not None and s.facts("") is not None else "local"


def check_target(s: Survey, target: str) -> Sequence[str]:
    from kubeshark.cli.survey._cluster_facts import kubeconfig_path

    if target == "cluster" and kubeconfig_path(s.kubeconfig) is None:
        raise UsageError("there is no kubeconfig", hint="set KUBECONFIG, or choose another place")
    return ()


def contexts(s: Survey) -> tuple[list[str], str]:
    from kubeshark.cli.survey._cluster_facts import contexts

    return contexts(s.kubeconfig)


def check_context(s: Survey, context: str) -> Sequence[str]:
    known = contexts(s)[0]
    if known and context not in known:
        raise UsageError(f"there is no context {context[:60]!r}", hint=f"there are {', '.join(known[:20])}")
    if s.is_offline:
        return ()
    facts = s.facts(context)
    return () if facts is None else (f"the API server answers: {len(facts.namespaces())} namespaces",)


def check_offline(s: Survey, value: bool) -> Sequence[str]:
    if not value:
        raise UsageError(f"the cluster cannot be asked: {s.trouble()}", hint="go back for another context, or say yes")
    s.is_offline = True
    return ()


def interfaces(_: Survey) -> Sequence[Choice]:
    from kubeshark.core_capture.live import list_interfaces

    return [Choice(one.name, f"{one.name}, {'up' if one.is_up else 'down'}") for one in list_interfaces()]


def check_interfaces(_: Survey, names: list[str]) -> Sequence[str]:
    if not names:
        raise UsageError("name at least one interface")
    return checks.check_interfaces(names)


def namespaces(s: Survey) -> Sequence[Choice]:
    facts = s.facts()
    return [Choice(name, name) for name in facts.namespaces()] if facts else ()


def check_namespaces(s: Survey, names: list[str]) -> Sequence[str]:
    facts = s.facts()
    known = set(facts.namespaces()) if facts else set(names)
    return [f"warning: there is no namespace {name}: kept, it may come" for name in names if name not in known]


def check_some_namespaces(s: Survey, names: list[str]) -> Sequence[str]:
    if not names:
        raise UsageError("name at least one namespace", hint="or go back and take all")
    return check_namespaces(s, names)


def check_pods(s: Survey, regex: str) -> Sequence[str]:
    checks.check_regex(regex)
    facts = s.facts()
    if facts is None:
        return ()
    import re2  # type: ignore[import-untyped]

    matches, chosen, excluded = re2.compile(regex), s["namespaces"] or (), s["excluded"] or ()
    pods = [
        pod
        for pod in facts.pods()
        if (not chosen or pod.namespace in chosen) and pod.namespace not in excluded and matches.search(pod.name)
    ]
    said = [f"{len(pods):,} pods match now{':' if pods else ''}"]
    said += [f"  {pod.namespace}/{pod.name}" for pod in pods[:SHOWN_PODS]]
    return [*said, "  …"] if len(pods) > SHOWN_PODS else said


def check_cron(_: Survey, cron: str) -> Sequence[str]:
    checks.six_fields(cron)
    return ()


def check_zone(s: Survey, zone: str) -> Sequence[str]:
    from kubeshark.settings import Duration

    return checks.check_cron(s["schedule"], zone, Duration(s["duration"]).seconds)


def storages(s: Survey) -> Sequence[Choice]:
    disk = Choice("local", "the disk of each node" if in_cluster(s) else "this machine's disk")
    claim = [Choice("pvc", "a volume claim")] if in_cluster(s) else []
    clouds = [Choice("s3", "S3"), Choice("azblob", "Azure Blob Storage"), Choice("gcs", "Google Cloud Storage")]
    return [disk, *claim, *clouds]


def check_limit(s: Survey, text: str) -> Sequence[str]:
    from kubeshark.settings import Settings, Size

    checks.check_size(text)
    least = Settings().store.segment_bytes.bytes
    size = Size(text).bytes
    if size and size < least:
        raise UsageError(f"{text} is less than one segment of {least >> 20} MiB", hint="0 is no limit")
    if s["storage"] == "local" and not in_cluster(s):
        return checks.check_folder(s["store"], size)
    return ()


def check_store(_: Survey, text: str) -> Sequence[str]:
    if "://" in text:
        raise UsageError("this is a folder's place", hint="choose S3, Azure or Google for a URL")
    return checks.check_folder(text, 0)


def classes(s: Survey) -> Sequence[Choice]:
    facts = s.facts()
    return [Choice(name, name) for name in facts.storage_classes()[0]] if facts else ()


def default_class(s: Survey) -> str:
    facts = s.facts()
    return (facts.storage_classes()[1] if facts else "") or "standard"


def check_class(s: Survey, name: str) -> Sequence[str]:
    facts = s.facts()
    if facts and name not in facts.storage_classes()[0]:
        return (f"warning: there is no storage class {name}",)
    return ()


def bucket_url(s: Survey) -> str:
    scheme = {"s3": "s3://", "gcs": "gs://", "azblob": "az://"}[s["storage"]]
    place = f"{s['account']}/{s['bucket']}" if s["storage"] == "azblob" else s["bucket"]
    return f"{scheme}{place}/{s['prefix']}".rstrip("/")


def check_prefix(s: Survey, prefix: str) -> Sequence[str]:
    """The last answer that is needed to write to the bucket."""
    if s["credentials"] != "environment" or not s.may_try:
        return ()
    given = {"AWS_REGION": s["region"], "AWS_ENDPOINT_URL": s["endpoint"]}
    s.answers["prefix"] = prefix
    return checks.check_bucket(bucket_url(s), {name: value for name, value in given.items() if value})


def check_secret(_: Survey, name: str) -> Sequence[str]:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", name):
        raise UsageError(
            "this is no name of a Secret", hint="never type the secret itself: name the object that holds it"
        )
    return ("the credentials are in the cluster: the bucket is tried by kubeshark check",)


def check_not_empty(what: str) -> Callable[[Survey, Any], Sequence[str]]:
    def check(_: Survey, value: Any) -> Sequence[str]:
        if not value:
            raise UsageError(f"{what} is needed")
        return ()

    return check


def check_readers(s: Survey, value: str) -> Sequence[str]:
    from kubeshark.core_capture.store import identity_path

    if value == "recipients":
        return ()
    path = identity_path()
    store = s["store"]
    if store and path.resolve().is_relative_to(Path(store).expanduser().resolve()):
        raise UsageError(f"the key {path} lies in the store", hint="set KUBESHARK_IDENTITY to another place")
    there = f"the key pair is {path}" if path.exists() else f"a key pair will be made: {path}"
    return (f"{there}; without it the captures are lost: keep a copy elsewhere",)


def check_recipients(_: Survey, texts: list[str]) -> Sequence[str]:
    if not texts:
        raise UsageError("paste at least one public key", hint='"kubeshark keys list" shows one: age1…')
    return checks.check_recipients(texts)


def tls_ways(s: Survey) -> Sequence[Choice]:
    probes = [Choice("probes", "probes in the processes (reads their memory)")] if in_cluster(s) else []
    return [Choice("off", "no"), Choice("keylog", "with key log files"), *probes]


def check_tls(_: Survey, way: str) -> Sequence[str]:
    if way == "probes":
        return ("probes need Linux 5.8 and the capabilities SYS_ADMIN and SYS_PTRACE: kubeshark check asks the nodes",)
    return ()


def check_keylog(_: Survey, names: list[str]) -> Sequence[str]:
    return [f"warning: {name} is not there yet" for name in names if not Path(name).expanduser().exists()]


def check_amount(_: Survey, text: str) -> Sequence[str]:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,3})?([mkMGT]|[KMGT]i)?", text):
        raise UsageError(f"{text[:40]!r} is no amount", hint="write 750m or 2 processors, 512Mi or 5Gi of memory")
    return ()


def check_host(_: Survey, host: str) -> Sequence[str]:
    if not re.fullmatch(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+", host):
        raise UsageError(f"{host[:80]!r} is no name of a host", hint="like traffic.example.test")
    return ()


def check_key(s: Survey, key: str) -> Sequence[str]:
    return checks.check_certificate(s["tls_cert"], key, s["ingress_host"])


def plugins(_: Survey) -> Sequence[Choice]:
    from kubeshark.pipeline.plugins._installed import installed_plugins

    return [Choice(each.id, each.id) for each in installed_plugins()]


def check_plugins(_: Survey, names: list[str]) -> Sequence[str]:
    from kubeshark.pipeline.plugins._installed import installed_plugins

    known = {each.id: each for each in installed_plugins()} if names else {}
    for name in names:
        if name not in known:
            hint = f"installed are {', '.join(known)}" if known else '"kubeshark plugin install" installs one'
            raise UsageError(f"the plugin {name[:60]!r} is not installed", hint=hint)
    return [f"warning: {name} is not signed: {known[name].doubt}" for name in names if not known[name].signed]
