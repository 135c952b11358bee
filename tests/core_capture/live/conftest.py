from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core_capture.live._cable import Sender, lay_cable, own_network


@pytest.fixture
def sender() -> Iterator[Sender]:
    """A cable in a namespace of this test's own; sends out of its near end."""
    with own_network():
        lay_cable()
        sender = Sender()
        try:
            yield sender
        finally:
            sender.close()
