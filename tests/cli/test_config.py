from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.cli._command import kubeshark


@pytest.fixture(autouse=True)
def here(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_configuration_in_force_with_its_sources() -> None:
    Path("kubeshark.yaml").write_text("tap:\n  regex: cart\nscripting: {env: {TOKEN: hunter2}}\n")
    done = kubeshark("config", "--set", "tap.namespaces=a", "--set", "tap.namespaces=b", KUBESHARK_STORE="/s")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "# kubeshark.yaml"
    for line in (
        "  regex: cart  # kubeshark.yaml:2",
        "  namespaces: [a, b]  # --set",
        "  path: /s  # environment KUBESHARK_STORE",
        "  tls: false  # default",
        '    TOKEN: "***"',
    ):
        assert line in lines
    assert "hunter2" not in done.stdout
    assert yaml.safe_load(done.stdout)["tap"]["namespaces"] == ["a", "b"]


def test_a_file_of_all_defaults_is_valid_and_is_not_replaced() -> None:
    assert kubeshark("config", "--regenerate").stdout == "kubeshark.yaml\n"
    text = Path("kubeshark.yaml").read_text()
    assert '  # Pods to capture: a regular expression (RE2) that their names contain.\n  regex: ".*"\n' in text
    again = kubeshark("config", "-r")
    assert again.returncode == 1 and "exists already" in again.stderr
    assert kubeshark("config", "-r", "--force").returncode == 0 and Path("kubeshark.yaml").read_text() == text
    assert kubeshark("config", "--validate").stdout == "kubeshark.yaml: valid\n"


def test_the_schema_is_that_of_the_model() -> None:
    assert json.loads(kubeshark("config", "--schema").stdout)["properties"]["tap"]["type"] == "object"


BAD = {
    "form": ("tap: {tls: yes}", "kubeshark.yaml:1:12: tap.tls: 'yes' is not true or false"),
    "checksum": (f"store: {{recipients: [age1{'q' * 58}]}}", "kubeshark.yaml:1: store.recipients: recipient"),
    "regex": ("tap: {regex: '('}", "kubeshark.yaml:1: tap.regex: '(' is no regular expression: missing )"),
    "bpf": ("tap: {bpfOverride: prot 80}", "kubeshark.yaml:1: tap.bpfOverride:"),
    "zone": ("timezone: Berlin", "timezone: 'Berlin' is no time zone"),
    "cron": ("capture: {schedules: [{name: a, cron: '61 * * * *', duration: 1m}]}", "'61 * * * *' is no schedule"),
    "name": ("capture: {schedules: [{name: A b, cron: '0 * * * *', duration: 1m}]}", "is no name of a schedule"),
    "kfl of a schedule": (
        "capture: {schedules: [{name: a, cron: '0 * * * *', duration: 1m, kfl: http}]}",
        "kubeshark.yaml:1: capture.schedules: schedule a: kfl: which entry a packet belongs to is not known",
    ),
    "duration": ("capture: {schedules: [{name: a, cron: '0 * * * *', duration: 0}]}", "its duration is 0"),
    "archive": (
        "tap: {snapshots: {cloud: {provider: s3, s3: {bucket: b, externalId: x y}}}}",
        "tap.snapshots.cloud.s3.externalId is for a role, and there is none",
    ),
    "bucket": ("tap: {snapshots: {cloud: {provider: s3}}}", "tap.snapshots.cloud.s3.bucket is empty"),
    "upload": (
        "capture: {schedules: [{name: a, cron: '0 * * * *', duration: 30m, upload: true}]}",
        "capture.schedules: schedule a: upload: true, and there is no archive",
    ),
    "kfl": ("tap: {globalFilter: 'http &&'}", "tap.globalFilter:"),
    "macro": ("tap: {customMacros: {mine: 'nope == 1'}}", "kubeshark.yaml:1: tap.customMacros: in macro mine: "),
    "name of a macro": ("tap: {customMacros: {http: dns}}", "macro http has the name of a variable"),
    "circle of macros": ("tap: {customMacros: {a: b, b: a}}", "macro a uses itself"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_meant_is_said_with_its_line(name: str) -> None:
    text, said = BAD[name]
    Path("kubeshark.yaml").write_text(text)
    done = kubeshark("config", "--validate")
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


def test_a_filter_may_use_macros() -> None:
    text = "tap: {customMacros: {https: 'tls and (http or http2)', names: dns, most: '500'}, globalFilter: names}"
    Path("kubeshark.yaml").write_text(text)
    assert kubeshark("config", "--validate").stdout == "kubeshark.yaml: valid\n"


def test_warnings_do_not_make_a_file_invalid() -> None:
    Path("kubeshark.yaml").write_text("tap: {telemetry: {enabled: false}}\n")
    done = kubeshark("config", "--validate")
    assert (done.returncode, done.stdout) == (0, "kubeshark.yaml: valid, 1 warnings\n")
    assert done.stderr == "kubeshark: warning: kubeshark.yaml:1: tap.telemetry has no effect here\n"
