"""Writes the Helm chart from the manifests of the command: deploy/chart."""

from __future__ import annotations

import sys
from pathlib import Path

from kubeshark.cluster import write_chart

write_chart(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "deploy" / "chart")
