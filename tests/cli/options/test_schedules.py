"""Schedules of the configuration, as long-running commands take them."""

from __future__ import annotations

import pytest

from kubeshark.cli.options._configured import configuration
from kubeshark.cli.options._schedules import schedules
from kubeshark.errors import UsageError

NIGHTLY = 'capture.schedules=[{name: nightly, cron: "0 0 2 * * *", duration: 30m}]'


def test_none_unless_somebody_says_so() -> None:
    configuration.begin(None, [])
    assert schedules() is None
    configuration.begin(None, ["timezone=Europe/Berlin"])
    assert schedules() is None


def test_in_the_zone_of_the_configuration() -> None:
    configuration.begin(None, [NIGHTLY, "timezone=Europe/Berlin"])
    found = schedules()
    assert found is not None
    assert found.at(3600.0).names == ("nightly",)  # 02:00 CET in 1970
    configuration.begin(None, [NIGHTLY, "timezone=Nowhere"])
    with pytest.raises(UsageError, match="is no time zone"):
        schedules()
