"""The schema of policies as an API server takes it for objects: structural (Kubernetes' documentation, same word).

Unknown fields are kept, not pruned: an API server would take them away in silence, and a policy would say less than was
written. Who reads the object refuses them, with their place.
"""

from __future__ import annotations

from typing import Any

from kubeshark.firewall.policies._policy import policy_schema

__all__ = ["structural_schema"]

_KEPT = "x-kubernetes-preserve-unknown-fields"
_AS_IT_IS = (
    "type", "description", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
    "minProperties", "maxProperties",
)  # fmt: skip


def structural_schema() -> dict[str, Any]:
    """Return the schema of `spec`."""
    return _structural(policy_schema()["properties"]["spec"])


def _structural(schema: dict[str, Any]) -> dict[str, Any]:
    made = {name: schema[name] for name in _AS_IT_IS if name in schema}
    if isinstance(made.get("type"), list):  # a duration: a text, or 0
        return {"x-kubernetes-int-or-string": True, **{name: made[name] for name in ("description",) if name in made}}
    if "const" in schema:
        made["enum"] = [schema["const"]]
    if "enum" in made and "type" not in made:
        made["type"] = "string"
    if schema.get("required"):
        made["required"] = list(schema["required"])
    if "items" in schema:
        made["items"] = _structural(schema["items"])
    if "properties" in schema:
        made["properties"] = {name: _structural(each) for name, each in schema["properties"].items()}
        made[_KEPT] = True
    elif isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _structural(schema["additionalProperties"])
    elif made.get("type") == "object":
        made[_KEPT] = True
    return made
