"""Simulations as text and as JSON."""

from __future__ import annotations

import json

from kubeshark.firewall import Coverage, compile_policies, simulate, simulation_document, simulation_text
from kubeshark.firewall.recorded._report import changes_text
from tests.firewall._policies import inventory, shop
from tests.firewall._recorded import flow, recorded

BATCH = [recorded([flow("10.30.0.7", "10.20.0.1", 5432), *(flow("10.9.0.14", "10.20.0.2", 22) for _ in range(3))])]


def test_the_table() -> None:
    known = inventory()
    rules = compile_policies(shop(), known, mode="Enforce")
    lines = simulation_text(simulate(rules, BATCH, inventory=known, coverage=Coverage(("n1",), 0)), shop())
    assert lines[0] == (
        "policy shop-db (Audit→Enforce)   1970-01-01 00:00 … 1970-01-01 00:00   flows 4  packets 20"
        "  coverage: 1 of 1 node, 0.00 % packets lost"
    )
    cells = [line.split() for line in lines]
    header = next(at for at, row in enumerate(cells) if row[:2] == ["rule", "verdict"])
    assert cells[header + 1][:6] == ["ingress/from-stock", "accept", "1", "5", "500", "B"]
    assert cells[header + 1][6:] == ["00:00:01", "00:00:02", "stock-7f", "(1)", "s-0-conn"]
    assert cells[header + 3][:4] == ["ingress/rest", "reject", "3", "15"]
    assert "connections of the subject: 4 (1 accept, 3 reject)" in lines
    assert "warning: 1 peer matched only by IP" in lines


def test_the_document() -> None:
    known = inventory()
    rules = compile_policies(shop(), known, mode="Enforce")
    document = simulation_document(simulate(rules, BATCH, inventory=known, against=compile_policies([], known)), shop())
    assert json.loads(json.dumps(document)) == document
    assert document["policy"] == "shop-db"
    assert document["policies"] == [{"name": "shop-db", "mode": "Audit", "simulated": "Enforce"}]
    assert document["window"]["first"] == "1970-01-01T00:00:01.000000000Z"
    first = document["rules"][0]
    assert (first["direction"], first["name"], first["action"], first["verdict"]) == (
        "ingress",
        "from-stock",
        "Accept",
        "accept",
    )
    assert first["peers"] == [{"address": "10.30.0.7", "name": "stock-7f", "flows": 1}]
    assert document["changed"] == [
        {
            "flow": "10.9.0.14 → 10.20.0.2:22 tcp",
            "was": "accept",
            "becomes": "reject",
            "flows": 3,
            "packets": 15,
            "sampleEntryIds": ["s-1-conn", "s-2-conn", "s-3-conn"],
        }
    ]


def test_changes_are_listed_up_to_a_number() -> None:
    known = inventory()
    rules = compile_policies(shop(), known, mode="Enforce")
    batch = [recorded([flow(f"10.9.0.{n}", "10.20.0.2", 22) for n in range(60)])]
    lines = changes_text(simulate(rules, batch, against=compile_policies([], known)))
    assert len(lines) == 51 and lines[-1] == "changed: and 10 more: see --output json"
