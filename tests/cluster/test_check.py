"""What checks say is one row each, the same for programs."""

from __future__ import annotations

from dataclasses import asdict

import msgspec

from kubeshark.cluster import Check


def test_a_row_is_plain() -> None:
    row = Check("clocks", "fail", "node-1 60.0 s ahead", "one time server")
    document = asdict(row)
    assert list(document) == ["name", "state", "said", "remedy"]
    assert msgspec.convert(document, Check) == row
    assert Check("cluster", "ok", "v1.36").remedy == ""
