from __future__ import annotations

import pytest

from kubeshark.errors import UsageError
from kubeshark.settings._override import read_overrides


def test_values_by_the_type_of_their_key() -> None:
    given, warnings = read_overrides(
        [
            "tap.namespaces=a",
            "tap.namespaces=b",
            "tap.tls=true",
            "tap.regex=a=b",
            "tap.bpfOverride=",
            "scripting.env.TOKEN=x",
            "scripting.env.OTHER=1",
            "tap.labels.app.kubernetes.io/name=shark",
            "tap.portMapping.http=[80, 8000]",
            "tap.tolerations.hub=[{operator: Exists}]",
        ],
        {"scripting.env": {"FROM": "file"}},
    )
    assert warnings == []
    assert given == {
        "tap.namespaces": ("a", "b"),
        "tap.tls": True,
        "tap.regex": "a=b",
        "tap.bpfOverride": "",
        "scripting.env": {"FROM": "file", "TOKEN": "x", "OTHER": "1"},
        "tap.labels": {"app.kubernetes.io/name": "shark"},
        "tap.portMapping": {"http": (80, 8000)},
        "tap.tolerations.hub": ({"operator": "Exists"},),
    }


def test_an_empty_value_empties() -> None:
    given, _ = read_overrides(["tap.namespaces=a", "tap.namespaces=", "tap.labels="], {})
    assert given == {"tap.namespaces": (), "tap.labels": {}}


def test_keys_of_kubeshark_that_mean_nothing() -> None:
    assert read_overrides(["tap.telemetry.enabled=false"], {}) == (
        {},
        ["--set tap.telemetry.enabled has no effect here"],
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tap.namespace=a", "--set tap.namespace: there is no such key: did you mean tap.namespaces?"),
        ("qqq=1", '"kubeshark config" shows all keys'),
        ("tap.tls", "has no value"),
        ("tap.tls=", "tap.tls: '' is not true or false"),
        ("tap.tls=maybe", "--set: tap.tls: 'maybe' is not true or false"),
        ("hub.port=0", "hub.port: 0 is not in 1..65535"),
        ("capture.schedules={a: b}", "must be a list, this is a mapping"),
        ("capture.schedules=[{", "not YAML"),
        ("capture.schedules=[]x", "not YAML"),
        ("tap.labels=x", "tap.labels: must be a mapping, this is 'x'"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_overrides([text], {})
    assert said in str(refused.value)
