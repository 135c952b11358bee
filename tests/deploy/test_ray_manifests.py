"""deploy/ray: manifests that KubeRay takes, of pods that hold no identity and that nobody else reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
CONTAINER = {
    "type": "object",
    "required": ["name", "image", "resources", "securityContext"],
    "properties": {
        "name": NAME,
        "resources": {"required": ["requests", "limits"]},
        "securityContext": {
            "required": ["allowPrivilegeEscalation", "capabilities"],
            "properties": {"allowPrivilegeEscalation": {"const": False}},
        },
    },
}
TEMPLATE = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["containers", "serviceAccountName", "securityContext"],
            "properties": {
                "containers": {"type": "array", "minItems": 1, "items": CONTAINER},
                "securityContext": {"required": ["runAsNonRoot"], "properties": {"runAsNonRoot": {"const": True}}},
            },
        }
    },
}
PARAMETERS = {"type": "object", "additionalProperties": {"type": "string"}}
RAY_CLUSTER = {  # what the CRD of ray.io/v1 asks for, and what we ask for beyond it
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayCluster"},
        "metadata": {"type": "object", "required": ["name"], "properties": {"name": NAME}},
        "spec": {
            "type": "object",
            "required": ["headGroupSpec"],
            "additionalProperties": False,
            "properties": {
                "rayVersion": {"type": "string"},
                "enableInTreeAutoscaling": {"type": "boolean"},
                "headGroupSpec": {
                    "type": "object",
                    "required": ["rayStartParams", "template"],
                    "additionalProperties": False,
                    "properties": {
                        "rayStartParams": PARAMETERS,
                        "serviceType": {"enum": ["ClusterIP"]},
                        "template": TEMPLATE,
                    },
                },
                "workerGroupSpecs": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": [
                            "groupName",
                            "rayStartParams",
                            "template",
                            "replicas",
                            "minReplicas",
                            "maxReplicas",
                        ],
                        "additionalProperties": False,
                        "properties": {
                            "groupName": NAME,
                            "replicas": {"type": "integer", "minimum": 0},
                            "minReplicas": {"type": "integer", "minimum": 0},
                            "maxReplicas": {"type": "integer", "minimum": 1},
                            "rayStartParams": PARAMETERS,
                            "template": TEMPLATE,
                        },
                    },
                },
            },
        },
    },
}


@pytest.fixture
def documents(root: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted((root / "deploy" / "ray").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            found[document["kind"]] = document
    return found


def test_the_cluster_is_one_that_kuberay_takes(documents: dict[str, dict[str, Any]]) -> None:
    jsonschema.Draft202012Validator(RAY_CLUSTER).validate(documents["RayCluster"])


def test_its_pods_hold_nothing_that_opens_a_store(documents: dict[str, dict[str, Any]]) -> None:
    spec = documents["RayCluster"]["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert {name for volume in pod["volumes"] for name in volume} == {"name", "emptyDir"}
        names = {variable["name"] for container in pod["containers"] for variable in container["env"]}
        assert names == {"RAY_USAGE_STATS_ENABLED", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"}
        assert not [name for name in names if "IDENTITY" in name or "AWS" in name]
    assert not [
        group for group in spec["workerGroupSpecs"] if group["template"]["spec"]["automountServiceAccountToken"]
    ]


def test_nobody_else_reaches_it(documents: dict[str, dict[str, Any]]) -> None:
    policy = documents["NetworkPolicy"]["spec"]
    spec = documents["RayCluster"]["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        assert policy["podSelector"]["matchLabels"].items() <= group["template"]["metadata"]["labels"].items()
        assert group["template"]["spec"]["serviceAccountName"] == documents["ServiceAccount"]["metadata"]["name"]
    assert policy["policyTypes"] == ["Ingress"]
    assert all("podSelector" in each for rule in policy["ingress"] for each in rule["from"])
