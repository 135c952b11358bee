"""Names into a store and out of it, and what a query then says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from _command import kubeshark


def test_names_from_a_file(tmp_path: Path, sample: Path) -> None:
    store = tmp_path / "store"
    assert kubeshark("import", sample, "--store", store).returncode == 0
    shown = ("--output", "jsonl", "--fields")
    found = kubeshark("query", "http", "--store", store, *shown, "src.ip,dst.ip", "--limit", "1")
    row = json.loads(found.stdout)
    file = tmp_path / "names.yaml"
    file.write_text(
        f"- {{kind: pod, name: cart-1, namespace: shop, addresses: ['{row['src.ip']}'], labels: {{app: cart}}}}\n"
        f"- {{kind: service, name: stock, namespace: shop, addresses: ['{row['dst.ip']}']}}\n"
        "- {name: old.example, addresses: [192.0.2.9], since: 1971-01-01T00:00:00Z, until: 1972-01-01T00:00:00Z}\n"
    )
    done = kubeshark("store", "names", "add", file, "--store", store)
    assert (done.returncode, done.stdout) == (0, "3 names added, 2 in the store\n")
    listed = json.loads(kubeshark("store", "names", "list", "--store", store, "--output", "json").stdout)
    assert [(each["kind"], each["name"], each["until"]) for each in listed] == [
        *(("pod", "cart-1", None), ("service", "stock", None)),
    ]
    assert "shop/cart-1" in kubeshark("store", "names", "list", "--store", store).stdout

    kfl = 'http && src.pod.name == "cart-1" && dst.service.name == "stock"'
    for jobs in ("1", "2"):
        named = kubeshark("query", kfl, "--store", store, "--jobs", jobs, *shown, "src.name,dst.name")
        rows = [json.loads(line) for line in named.stdout.splitlines()]
        assert rows, named.stderr
        assert all(each == {"src.name": "cart-1", "dst.name": "stock.shop"} for each in rows)


def test_names_that_dns_answers_told(tmp_path: Path, sample: Path) -> None:
    store = tmp_path / "store"
    assert kubeshark("import", sample, "--store", store).returncode == 0
    done = kubeshark("store", "names", "add", "--dns", "--store", store)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("in the store\n")
    again = kubeshark("store", "names", "add", "--dns", "--store", store)
    assert again.stdout == done.stdout
    found = kubeshark("query", 'http && dst.dns == "shop.example.test"', "--store", store, "--limit", "1")
    assert found.stdout


def test_a_file_that_is_none(tmp_path: Path) -> None:
    store = tmp_path / "store"
    missing = kubeshark("store", "names", "add", tmp_path / "none.yaml", "--store", store)
    assert (missing.returncode, missing.stderr.count("\n")) != (0, 0)
    (tmp_path / "x.yaml").write_text("- {name: x}\n")
    wrong = kubeshark("store", "names", "add", tmp_path / "x.yaml", "--store", store)
    assert wrong.returncode == 2
    assert "x.yaml:1:3" in wrong.stderr
