"""The schema for an API server: structural, and it keeps what it does not know."""

from __future__ import annotations

from typing import Any

from kubeshark.firewall.policies._structural import structural_schema

KEPT = "x-kubernetes-preserve-unknown-fields"


def inside(schema: dict[str, Any]) -> list[dict[str, Any]]:
    found = [schema]
    for each in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(each, dict):
            found += inside(each)
    return found


def test_every_part_has_a_type_and_nothing_is_pruned() -> None:
    for part in inside(structural_schema()):
        assert ("type" in part) != ("x-kubernetes-int-or-string" in part)
        assert not {"oneOf", "const", "propertyNames", "$schema"} & part.keys()
        if part.get("type") == "object":
            assert part.get(KEPT) is True or "additionalProperties" in part
        assert not ("additionalProperties" in part and "properties" in part)


def test_what_is_chosen_from_is_chosen_once() -> None:
    subject = structural_schema()["properties"]["subject"]
    assert (subject["minProperties"], subject["maxProperties"]) == (1, 1)
    assert subject["properties"]["host"] == {"type": "boolean", "enum": [True]}
    assert structural_schema()["properties"]["tier"]["enum"] == ["Admin", "Baseline"]
