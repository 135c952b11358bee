"""Settings as plain values."""

from __future__ import annotations

import json

from kubeshark.cluster._plain import plain
from tests.cluster._settings import MANY, settings


def test_names_are_those_of_the_file_and_values_are_as_written() -> None:
    found = plain(settings(*MANY))
    assert json.loads(json.dumps(found)) == found
    assert found["tap"]["storageLimit"] == "10Gi"
    assert found["tap"]["ingress"]["tls"] == [{"hosts": ["traffic.example.test"], "secretName": "traffic-tls"}]
    assert found["capture"]["schedules"][0]["duration"] == "30m"
