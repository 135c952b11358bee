"""Captures that ask for more than they bring are imported and queried in bounded memory and time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bombs._bounded import take
from tests.bombs._captures import CAPTURES, tiny_flows

pytestmark = pytest.mark.timeout(600)

IMPORT_MIB, IMPORT_S = 900, 20
QUERY_MIB, QUERY_S = 700, 15

PARTLY = {
    "a record of four gigabytes": "claims 4,294,967,295 bytes",
    "a block of four gigabytes": "ends inside a block",
    "a million interfaces": "more than 65,536 interfaces",
    "a million sections": "more than 65,536 interfaces",
    "a million name blocks": "more than 67,108,864 bytes of blocks",
    "60,000 link types": "more than 64 link types",
}
"""What is refused, and said."""


@pytest.mark.parametrize("name", CAPTURES)
def test_import_and_query(name: str, tmp_path: Path) -> None:
    make, count = CAPTURES[name]
    capture, store = tmp_path / "capture", tmp_path / "store"
    capture.write_bytes(make(count))
    done = take("import", capture, "--store", store)
    assert done.code == (3 if name in PARTLY else 0), done
    assert PARTLY.get(name, "") in done.stderr
    assert "Traceback" not in done.stderr
    assert done.peak_mib < IMPORT_MIB, done
    assert done.cpu_s < IMPORT_S, done

    found = take("query", "dns && status_code != 0", "--store", store, "--output", "jsonl")
    assert (found.code, found.stderr) == (0, ""), found
    assert found.peak_mib < QUERY_MIB, found
    assert found.cpu_s < QUERY_S, found


def test_the_first_page_of_a_million_flows(tmp_path: Path) -> None:
    capture, store = tmp_path / "capture", tmp_path / "store"
    capture.write_bytes(tiny_flows(1_000_000))
    done = take("import", capture, "--store", store)
    assert done.code == 0, done
    assert done.peak_mib < IMPORT_MIB, done
    assert done.cpu_s < IMPORT_S, done
    for direction in ([], ["--reverse"]):
        page = take("query", "--limit", "10", *direction, "--store", store, "--output", "jsonl")
        assert (page.code, page.stderr) == (0, ""), page
        assert page.peak_mib < 800, page
        assert page.cpu_s < QUERY_S, page


@pytest.mark.parametrize(
    "name",
    ["gaps of gigabytes", "segments in random order", "overlapping segments", "segments sent backwards",
     "fragments that never complete", "overlapping fragments", "tunnels three thousand deep"],
)  # fmt: skip
def test_dissecting_everything(name: str, tmp_path: Path) -> None:
    """Streams are put together for all of it: what is missing takes no memory, what overlaps no time."""
    make, count = CAPTURES[name]
    (tmp_path / "capture").write_bytes(make(count))
    done = take("dissect", tmp_path / "capture", "--output", "jsonl")
    assert done.code == 0, done
    assert done.peak_mib < 900, done
    assert done.cpu_s < 20, done
