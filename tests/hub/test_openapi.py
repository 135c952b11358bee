"""The OpenAPI document against the server: schemathesis asks each endpoint for what it says, and for what it denies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.hub._serving import Hub, serving

EXAMPLES = 5  # of each endpoint; for a longer run: raise it


@pytest.fixture(scope="module")
def hub(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub of its own: its store is changed here."""
    home = tmp_path_factory.mktemp("own")
    with serving(home / "store", root, home) as found:
        yield found


@pytest.fixture(scope="module")
def document(hub: Hub) -> schemathesis.BaseSchema:
    url = f"http://{hub.address}:{hub.port}/api/v1/openapi.json"
    return schemathesis.openapi.from_url(url, headers={"Authorization": f"Bearer {hub.token}"})


def test_every_answer_is_as_described(document: schemathesis.BaseSchema, hub: Hub) -> None:
    headers = {"Authorization": f"Bearer {hub.token}"}
    asked = 0
    for found in document.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
            derandomize=True,
            database=None,
        )
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            # whether a text is a filter, an id or a time of this store, no schema can say
            case.call_and_validate(headers=headers, timeout=60, excluded_checks=[positive_data_acceptance])

        ask()
        asked += 1
    assert asked > 40
    assert hub.json("/api/v1/health")["ok"]
