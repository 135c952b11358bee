"""The kind FirewallPolicy: its definition for the API server. What it may say is `firewallpolicy.json`.

That file is made from the firewall's own schema by scripts/generate_chart.py: this room does not know the firewall.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kubeshark.cluster._names import metadata

__all__ = ["CRD", "POLICY", "SCHEMA_FILE", "policy_kind"]

CRD = "CustomResourceDefinition"
POLICY = "FirewallPolicy"
GROUP, PLURAL = "kubeshark.io", "firewallpolicies"
SCHEMA_FILE = Path(__file__).with_name("firewallpolicy.json")

_TEXT, _WHOLE = {"type": "string"}, {"type": "integer"}
_STATUS = {
    "type": "object",
    "description": "written by the hub",
    "properties": {
        "observedGeneration": {**_WHOLE, "description": "of the object, that this is about"},
        "accepted": {"type": "boolean"},
        "reason": {**_TEXT, "description": "Accepted, Invalid, Conflict, RolledBack or Expired"},
        "errors": {"type": "array", "items": _TEXT},
        "acceptedAt": {**_TEXT, "format": "date-time", "description": "when spec.ttl began"},
        "enforced": {**_TEXT, "description": "on how many nodes of how many"},
        "nodes": {
            "type": "array",
            "description": "those that do not enforce it",
            "items": {"type": "object", "properties": {"node": _TEXT, "state": _TEXT, "why": _TEXT}},
        },
        "conditions": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type", "status"],
                "properties": {
                    "type": _TEXT,
                    "status": _TEXT,
                    "reason": _TEXT,
                    "message": _TEXT,
                    "lastTransitionTime": {**_TEXT, "format": "date-time"},
                    "observedGeneration": _WHOLE,
                },
            },
        },
    },
}


def policy_kind() -> dict[str, Any]:
    """Return the definition. It lies in no namespace: a policy selects pods in any."""
    made = metadata("", "policies", is_namespaced=False)
    made["name"] = f"{PLURAL}.{GROUP}"
    made["annotations"] = {**made["annotations"], "helm.sh/resource-policy": "keep"}  # with it all policies would go
    columns = [
        {"name": "Tier", "type": "string", "jsonPath": ".spec.tier"},
        {"name": "Priority", "type": "integer", "jsonPath": ".spec.priority"},
        {"name": "Accepted", "type": "boolean", "jsonPath": ".status.accepted"},
        {"name": "Enforced", "type": "string", "jsonPath": ".status.enforced"},
        {"name": "Reason", "type": "string", "jsonPath": ".status.reason", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    schema = {
        "type": "object",
        "description": "What the firewall does with the traffic of its subject",
        "required": ["spec"],
        "properties": {"spec": json.loads(SCHEMA_FILE.read_text(encoding="utf-8")), "status": _STATUS},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": CRD,
        "metadata": made,
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {"kind": POLICY, "plural": PLURAL, "singular": "firewallpolicy", "shortNames": ["fwp"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }
