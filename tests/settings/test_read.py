"""What a file may say, and how it is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark._document import DocumentError, read_documents
from kubeshark.errors import KubesharkError
from kubeshark.settings import Duration, Schedule, Size
from kubeshark.settings._read import nearest, read_file

RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kdnv3pt2q8vmvl6"


def read(text: str) -> tuple[dict[str, Any], list[str]]:
    [node] = read_documents(text.encode(), "f.yaml")
    found, warnings = read_file(node)
    return {path: value for path, (value, _line) in found.items()}, warnings


def test_values_of_every_kind() -> None:
    found, warnings = read(
        f"""
tap:
  regex: no
  docker: {{tag: 1.10}}
  namespaces: [shop, "012"]
  tls: true
  storageLimit: 20Gi
  labels: {{team: a, version: 1.0}}
  portMapping: {{http: [8000, 8001]}}
  tolerations:
    workers: [{{key: dedicated, operator: Exists, tolerationSeconds: 30, x: "30", y: true, z: null}}]
  auth: {{roles: {{sre: {{capabilities: [raw], namespaces: [shop-*]}}}}}}
  customMacros:
capture:
  schedules: [{{name: nightly, cron: "0 0 2 * * *", duration: 30m, upload: true}}]
query: {{jobs: 4}}
store: {{recipients: [{RECIPIENT}], retention: {{age: 720h}}}}
"""
    )
    assert warnings == []
    assert found["tap.regex"] == "no" and found["tap.docker.tag"] == "1.10"  # as written, whatever YAML makes of it
    assert found["tap.namespaces"] == ("shop", "012")
    assert found["tap.storageLimit"] == "20Gi" and isinstance(found["tap.storageLimit"], Size)
    assert found["tap.labels"] == {"team": "a", "version": "1.0"}
    assert found["tap.portMapping"] == {"http": (8000, 8001)}
    [toleration] = found["tap.tolerations.workers"]
    assert toleration["tolerationSeconds"] == 30 and toleration["x"] == "30"
    assert (toleration["y"], toleration["z"]) == (True, None)
    assert found["tap.auth.roles"]["sre"].namespaces == ("shop-*",)
    assert "tap.customMacros" not in found  # nothing behind it: the default stays
    assert found["capture.schedules"] == (
        Schedule(name="nightly", cron="0 0 2 * * *", duration=Duration("30m"), upload=True),
    )
    assert found["query.jobs"] == 4 and found["store.retention.age"].seconds == 720 * 3600


BAD = {
    "a list": ("tap: {namespaces: shop}", "f.yaml:1:19: tap.namespaces: must be a list, this is 'shop': write [a, b]"),
    "a mapping": ("tap: [a]", "f.yaml:1:6: tap: must be a mapping, this is a list"),
    "a scalar": ("tap: {regex: [a]}", "tap.regex: must be a single value, this is a list"),
    "a part": ("store: {retention: 7}", "f.yaml:1:20: store.retention: must be a mapping, this is '7'"),
    "a secret instead": ("store: AGE-SECRET-KEY-1QQQ", "f.yaml:1:8: store: must be a mapping, this is a secret"),
    "boolean": ("tap:\n  tls: yes", "f.yaml:2:8: tap.tls: 'yes' is not true or false"),
    "number": ("query: {jobs: many}", "query.jobs: 'many' is no whole number"),
    "range": ("hub: {port: 70000}", "hub.port: 70000 is not in 1..65535"),
    "choice": ("firewall: {failMode: shut}", "firewall.failMode: 'shut' is none of open, closed"),
    "size": ("tap: {storageLimit: big}", "tap.storageLimit: 'big' is no size"),
    "duration": ("store: {retention: {age: old}}", "store.retention.age: 'old' is no duration"),
    "unknown field of an item": ("capture: {schedules: [{name: a, cron: b, duraton: 1h}]}", "did you mean duration?"),
    "missing field": ("capture: {schedules: [{name: a, cron: b}]}", "capture.schedules[0]: duration is missing"),
    "placeholder": (
        'store: {recipients: ["age1<your public key>"]}',
        "store.recipients[0]: 'age1<your public key>' is no",
    ),
    "long": (f"timezone: {'x' * 20_000}", "20,000 characters, at most 16,384"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused_is_named_with_its_place(name: str) -> None:
    text, said = BAD[name]
    with pytest.raises(DocumentError) as refused:
        read(text)
    assert said in str(refused.value) and refused.value.line and refused.value.exit_code == 2


SECRETS = {
    "AWS key": "tap: {snapshots: {cloud: {s3: {secretKey: hunter2}}}}",
    "Azure key": "tap: {snapshots: {cloud: {azblob: {storageKey: hunter2}}}}",
    "Google key": "tap: {snapshots: {cloud: {gcs: {credentialsJson: hunter2}}}}",
    "instead of its Secret": "tap: {snapshots: {cloud: {secrets: [AKIAIOSFODNN7EXAMPLE]}}}",
    "no name of a Secret": "tap: {snapshots: {cloud: {secrets: [Hunter2/]}}}",
    "token": "hub: {token: hunter2}",
    "identity": "store: {identityFile: AGE-SECRET-KEY-1HUNTER2}",
    "password in a URL": "store: {url: 's3://user:hunter2@bucket/x'}",
    "private key": 'hub: {tls: {key: "-----BEGIN PRIVATE KEY-----hunter2"}}',
}


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(DocumentError, match="secrets do not belong in this file") as refused:
        read(SECRETS[name])
    assert "unter2" not in str(refused.value) and "AKIA" not in str(refused.value)


def test_what_is_unknown_is_a_warning() -> None:
    found, warnings = read("tap:\n  namespace: [a]\n  telemetry: {enabled: true}\nlicense: abc\nzzzzqqq: 1\n")
    assert found == {}
    assert warnings == [
        "f.yaml:2: tap.namespace is unknown and ignored: did you mean tap.namespaces?",
        "f.yaml:3: tap.telemetry has no effect here",
        "f.yaml:4: license has no effect here",
        "f.yaml:5: zzzzqqq is unknown and ignored",
    ]


def test_the_nearest_name() -> None:
    assert nearest("tap.regexp") == "tap.regex"
    assert nearest("recipients") == "store.recipients"  # a right name in a wrong place
    assert nearest("qqq") == ""


@given(st.text("abctapregx:{}[]-\"' \n0", max_size=120))
def test_hostile_documents_end_in_an_error_or_values(text: str) -> None:
    try:
        for node in read_documents(text.encode(), "f"):
            read_file(node)
    except KubesharkError:
        pass
