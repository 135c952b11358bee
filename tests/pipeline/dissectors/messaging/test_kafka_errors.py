"""Names of Kafka's error codes."""

from __future__ import annotations

import pytest

from kubeshark.pipeline.dissectors.messaging._kafka_errors import error_name


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (-1, "UNKNOWN_SERVER_ERROR"),
        (0, "NONE"),
        (3, "UNKNOWN_TOPIC_OR_PARTITION"),
        (35, "UNSUPPORTED_VERSION"),
        (79, "MEMBER_ID_REQUIRED"),
        (133, "SHARE_SESSION_LIMIT_REACHED"),
        (134, "134"),
        (-2, "-2"),
    ],
)
def test_name(code: int, name: str) -> None:
    assert error_name(code) == name
