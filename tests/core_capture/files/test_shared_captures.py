"""Every third-party capture: as many packets as its truth says, and the same again after a round trip."""

from __future__ import annotations

import json
from pathlib import Path


def test_packet_counts(captures: Path, read) -> None:
    wrong = {}
    for line in json.loads((captures / "manifest.json").read_text()):
        truth = json.loads((captures / "truth" / f"{line['file']}.json").read_text())
        capture = read((captures / "files" / line["file"]).read_bytes())
        expected = {truth["packets"], truth["format"].get("frames")}
        if len(capture.packets) not in expected:
            wrong[line["file"]] = (len(capture.packets), expected)
        if bool(capture.problems) != bool(truth["format"].get("tail")):
            wrong[line["file"]] = [str(problem) for problem in capture.problems]
    assert wrong == {}


def test_pcapng_round_trips(captures: Path, read, rewrite) -> None:
    """Only obsolete packet blocks change, into enhanced ones."""
    for path in sorted((captures / "files").iterdir()):
        first = read(path.read_bytes())
        if first.metadata.format != "pcapng":
            continue
        again = read(rewrite(first))
        assert again.rows == first.rows, path.name
        assert again.metadata.interfaces == first.metadata.interfaces, path.name
        assert again.metadata.blocks == first.metadata.blocks, path.name
