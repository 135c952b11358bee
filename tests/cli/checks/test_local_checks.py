"""What `kubeshark check` says of a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.cli.checks._local_checks import local_checks


@pytest.mark.parametrize(
    ("release", "state", "said"),
    [("3.10.0-x", "fail", "3.10"), ("5.10.1", "ok", "clsact"), ("6.8.0", "ok", "tcx"), ("?", "fail", "?")],
)
def test_kernels(tmp_path: Path, release: str, state: str, said: str) -> None:
    first = local_checks(tmp_path, release)[0]
    assert (first.name, first.state) == ("kernel", state)
    assert said in first.said


def test_what_is_held(tmp_path: Path) -> None:
    status = tmp_path / "proc/self/status"
    status.parent.mkdir(parents=True)
    for held, state in (("0000000000003000", "ok"), ("0000000000001000", "warn"), ("nonsense", "warn")):
        status.write_text(f"Name:\tx\nCapEff:\t{held}\n")
        found = {each.name: each for each in local_checks(tmp_path)}
        assert found["capabilities"].state == state


def test_the_key(own_home: Path, tmp_path: Path) -> None:
    path = own_home / ".kubeshark" / "identity.age"
    path.parent.mkdir()
    path.write_text("x")
    path.chmod(0o644)
    found = {each.name: each for each in local_checks(tmp_path)}
    assert (found["identity"].state, found["cgroup"].state) == ("warn", "warn")
    path.chmod(0o600)
    assert {each.name: each for each in local_checks(tmp_path)}["identity"].state == "ok"


def test_rp_filter(tmp_path: Path) -> None:
    def said(**values: str) -> str:
        for name, value in values.items():
            path = tmp_path / "proc/sys/net/ipv4/conf" / name / "rp_filter"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(value)
        return {each.name: each for each in local_checks(tmp_path)}["rp_filter"].said

    assert said() == "drops nothing that has a way back"
    assert said(all="0", default="1", eth0="1", eth1="0") == "strict on eth0: what it drops is captured all the same"
    assert said(all="2") == "drops nothing that has a way back"  # the larger one counts
    assert said(all="1", **{f"veth{number}": "0" for number in range(8)}).startswith("strict on eth0, eth1, veth0")
    assert said(eth0="x") == "cannot be read; captures see packets before it"
