"""Fails if a row of the scoreboard is below its mark: `check_score.py score.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

MARKS = {"http": 0.97, "dns": 0.97, "tcp": 0.97, "udp": 0.97, "icmp": 0.97}


def main() -> int:
    score = json.loads(Path(sys.argv[1]).read_text())
    low = [
        f"{row}: {measure} {score['rows'][row][measure]:.1%} is below {mark:.0%}"
        for row, mark in MARKS.items()
        for measure in ("recall", "precision")
        if (score["rows"][row][measure] or 0) < mark
    ]
    faults = [fault for fault in score["faults"] if not fault["fault"].startswith("refused")]
    for problem in [*low, *(f"{fault['file']}: {fault['fault']}" for fault in faults), *(score["packets"] or ())]:
        print(f"scoreboard: {problem}")
    return bool(low or faults or score["packets"])


if __name__ == "__main__":
    sys.exit(main())
