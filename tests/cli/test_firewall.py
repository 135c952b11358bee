"""kubeshark firewall: tried on a store, with exit codes that CI can use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.cli._command import kubeshark

INVENTORY = """\
pods:
  - {name: web, namespace: shop, labels: {app: web}, addresses: [10.77.0.10, "fd77::10"]}
  - {name: client, namespace: shop, labels: {app: client}, addresses: [10.77.0.101]}
"""
POLICY = """\
apiVersion: kubeshark.io/v1
kind: FirewallPolicy
metadata: {name: web}
spec:
  tier: Admin
  priority: 10
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}
  ingress:
    - name: pages
      action: Accept
      from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}}]
      protocols: [{tcp: {destinationPort: {number: 80}}}]
    - {name: rest, action: Reject, from: [{networks: ["0.0.0.0/0", "::/0"]}]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    folder = tmp_path_factory.mktemp("firewall")
    (folder / "inventory.yaml").write_text(INVENTORY)
    (folder / "web.yaml").write_text(POLICY)
    environment = {"KUBESHARK_IDENTITY": str(folder / "identity")}
    assert kubeshark("import", sample, "--store", folder / "store", **environment).returncode == 0
    return folder


def firewall(folder: Path, *arguments: str | Path) -> tuple[int, str, str]:
    environment = {"KUBESHARK_IDENTITY": str(folder / "identity"), "KUBESHARK_FIREWALL_RUN": str(folder / "run")}
    done = kubeshark("firewall", *arguments, **environment)
    return done.returncode, done.stdout, done.stderr


def traffic(folder: Path) -> tuple[str | Path, ...]:
    return "--store", folder / "store", "--inventory", folder / "inventory.yaml"


def test_simulate_tells_rules_and_opens_entries(folder: Path) -> None:
    code, out, err = firewall(folder, "simulate", folder / "web.yaml", *traffic(folder))
    assert code == 0, err
    assert out.startswith("policy web (Audit→Enforce)")
    [accepted] = [line for line in out.splitlines() if line.startswith("ingress/pages")]
    shown = kubeshark(
        "show", accepted.split()[-1], "--store", folder / "store", KUBESHARK_IDENTITY=str(folder / "identity")
    )
    assert shown.returncode == 0 and "Connection" in shown.stdout


def test_fail_on_is_for_ci(folder: Path) -> None:
    code, out, err = firewall(
        folder, "simulate", folder / "web.yaml", *traffic(folder), "--fail-on", "deny,reject", "--output", "json"
    )
    assert code == 1 and "connections that would fail" in err
    rules = {rule["name"]: rule for rule in json.loads(out)["rules"]}
    assert rules["pages"]["flows"] == 1 and rules["rest"]["verdict"] == "reject"
    assert firewall(folder, "simulate", folder / "web.yaml", *traffic(folder), "--fail-on", "deny")[0] == 0
    assert firewall(folder, "simulate", folder / "web.yaml", *traffic(folder), "--as-is", "--fail-on", "reject")[0] == 0
    assert firewall(folder, "simulate", folder / "web.yaml", *traffic(folder), "--fail-on", "drop")[0] == 2


def test_a_filter_selects_the_traffic(folder: Path) -> None:
    one = json.loads(
        firewall(
            folder, "simulate", folder / "web.yaml", "http && status_code == 304", *traffic(folder), "--output", "json"
        )[1]
    )
    assert 0 < one["flows"] < 5
    assert firewall(folder, "simulate", folder / "web.yaml", "http &&", *traffic(folder))[0] == 2


def test_diff_and_against(folder: Path) -> None:
    stricter = POLICY.replace("number: 80", "number: 81")
    (folder / "stricter.yaml").write_text(stricter)
    code, out, _ = firewall(folder, "diff", folder / "web.yaml", folder / "stricter.yaml", *traffic(folder))
    assert code == 0 and out.startswith("changed: 10.77.0.101 → 10.77.0.10:80 tcp  accept → reject")
    arguments = ("--against", folder / "web.yaml", "--output", "json")
    changed = json.loads(firewall(folder, "simulate", folder / "stricter.yaml", *traffic(folder), *arguments)[1])[
        "changed"
    ]
    assert [(each["was"], each["becomes"]) for each in changed] == [("accept", "reject")]
    assert firewall(folder, "diff", folder / "web.yaml", folder / "web.yaml", *traffic(folder))[1].startswith(
        "no change"
    )
    assert "nothing is enforced here" in firewall(folder, "diff", "current", folder / "web.yaml", *traffic(folder))[2]


def test_domain_names_are_those_that_dns_answered(folder: Path) -> None:
    named = """\
apiVersion: kubeshark.io/v1
kind: FirewallPolicy
metadata: {name: names}
spec:
  tier: Admin
  priority: 10
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}}
  egress: [{name: shop, action: Accept, to: [{domainNames: [shop.example.test]}]}]
"""
    (folder / "names.yaml").write_text(named)
    document = json.loads(firewall(folder, "simulate", folder / "names.yaml", *traffic(folder), "--output", "json")[1])
    [rule] = [rule for rule in document["rules"] if rule["name"] == "shop"]
    assert {peer["address"] for peer in rule["peers"]} == {"10.77.0.10"} and rule["flows"] > 1


def test_get_where_nothing_is_enforced(folder: Path) -> None:
    assert firewall(folder, "get") == (0, "no policies are enforced\n", "")
    assert firewall(folder, "get", "--output", "json")[1] == "[]\n"
    assert firewall(folder, "get", "web")[0] == 2


def test_a_hub_needs_a_token_and_an_address(folder: Path) -> None:
    code, _, err = firewall(folder, "get", "--hub", "http://127.0.0.1:1")
    assert code == 2 and "$KUBESHARK_TOKEN holds no token" in err
    assert firewall(folder, "status", "--hub", "ftp://host")[0] == 2


def test_a_dry_run_of_apply_checks_and_compiles(folder: Path) -> None:
    code, out, _ = firewall(folder, "apply", folder / "web.yaml", "--dry-run", "--inventory", folder / "inventory.yaml")
    assert code == 0
    assert out.splitlines() == [
        "policy web: Admin 10, Audit, 2 rules: valid",
        "pods shop/web: 2 of 256 rules from web",
        "nothing was changed",
    ]
    (folder / "bad.yaml").write_text(POLICY.replace("Reject", "Refuse"))
    code, _, err = firewall(folder, "apply", folder / "bad.yaml", "--dry-run")
    assert code == 2 and "bad.yaml:13:28: spec.ingress[1].action: 'Refuse' is none of" in err
    assert len(err.splitlines()) == 1
    assert firewall(folder, "apply", folder / "missing.yaml", "--dry-run")[0] == 1


def test_schema(folder: Path) -> None:
    code, out, _ = firewall(folder, "schema")
    assert code == 0
    Draft202012Validator.check_schema(json.loads(out))


def test_what_is_learned_lets_everything_through(folder: Path) -> None:
    code, text, err = firewall(folder, "learn", "--subject", "pods:shop/app=web", "--name", "web", *traffic(folder))
    assert code == 0, err
    (folder / "learned.yaml").write_text(text)
    simulated = firewall(
        folder, "simulate", folder / "learned.yaml", *traffic(folder), "--fail-on", "deny,reject", "--output", "json"
    )
    assert simulated[0] == 0, simulated[2]
    assert json.loads(simulated[1])["outcomes"]["accept"] > 5
    code, text, _ = firewall(
        folder, "learn", "--subject", "pods:shop/app=web", *traffic(folder), "--format", "networkpolicy"
    )
    assert code == 0 and "kind: NetworkPolicy" in text
    assert firewall(folder, "learn", "--subject", "pod:x", *traffic(folder))[0] == 2
    assert firewall(folder, "learn", "--subject", "host", "--max-prefix", "33/64", *traffic(folder))[0] == 2
    assert firewall(folder, "learn", "--subject", "host", "--name", "No Name", *traffic(folder))[0] == 2


def test_a_host_by_its_address(folder: Path) -> None:
    host = ("--store", folder / "store", "--address", "10.77.0.20")
    code, text, _ = firewall(folder, "learn", "--subject", "host", *host)
    assert code == 0 and "subject: {host: true}" in text
    (folder / "host.yaml").write_text(text)
    code, out, _ = firewall(folder, "simulate", folder / "host.yaml", *host, "--fail-on", "deny")
    assert code == 0 and "ingress/rest" in out
    assert firewall(folder, "simulate", folder / "host.yaml", *host, "--address", "x")[0] == 2


def test_what_is_not_known_is_refused_by_the_command_it_was_given_to(folder: Path) -> None:
    code, _, err = firewall(folder, "schema", "--nope")
    assert code == 2 and err == 'kubeshark: unrecognized arguments: --nope: see "kubeshark firewall schema --help"\n'
