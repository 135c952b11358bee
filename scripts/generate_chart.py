"""Writes what the cluster gets from its sources: the schema of FirewallPolicy, and the Helm chart (deploy/chart)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kubeshark.cluster import write_chart
from kubeshark.firewall.policies._structural import structural_schema

ROOT = Path(__file__).resolve().parents[1]

schema = json.dumps(structural_schema(), indent=1) + "\n"
(ROOT / "cluster" / "firewallpolicy.json").write_text(schema, encoding="utf-8")
write_chart(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "deploy" / "chart")
