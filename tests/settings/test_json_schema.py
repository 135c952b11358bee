from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from kubeshark.settings import Settings, json_schema, to_yaml


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


def test_defaults_and_a_file_are_valid(validator: Any) -> None:
    validator.validate(yaml.safe_load(to_yaml(Settings())))
    validator.validate({"capture": {"schedules": [{"name": "a", "cron": "0 0 2 * * *", "duration": "30m"}]}})


@pytest.mark.parametrize(
    "document",
    [
        {"tap": {"namespaces": "shop"}},
        {"tap": {"tls": "yes"}},
        {"hub": {"port": 0}},
        {"firewall": {"failMode": "shut"}},
        {"store": {"retention": {"bytes": "big"}}},
        {"capture": {"schedules": [{"name": "a"}]}},
    ],
)
def test_what_the_reader_refuses_is_invalid(validator: Any, document: dict[str, Any]) -> None:
    assert not validator.is_valid(document)


def test_keys_are_described() -> None:
    assert json_schema()["properties"]["tap"]["properties"]["regex"]["description"].startswith("Pods to capture")
